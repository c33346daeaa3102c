package checkpoint

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint/compressed"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
)

// PlainFolder is a Hugging Face folder in which everything has its place: shards of weights, and small files.
type PlainFolder struct {
	Shards []*PlainFile
	Files  []SideFile
}

// SideFile is a small file of a folder.
type SideFile struct {
	Name  string
	Write func(w io.Writer) error
}

// MaxShard is the size of the largest file that the reference writer makes.
const MaxShard = 5_000_000_000

var toSafetensors = map[gguf.Type]safetensors.DType{gguf.F32: safetensors.F32, gguf.F16: safetensors.F16, gguf.BF16: safetensors.BF16, gguf.I8: safetensors.I8}

var torchTypes = map[gguf.Type]string{gguf.F32: "float32", gguf.F16: "float16", gguf.BF16: "bfloat16"}

// PlainFolder plans a folder as transformers and vLLM read it, with int8 matrices as compressed-tensors has them, in shards of at most
// maxShard bytes of weights (a larger tensor has one of its own). The tokenizer's files are those of source, a Hugging Face folder, as they
// are, but for a template that m replaces; "" makes them of m.Vocab.
func (m *Plain) PlainFolder(source string, maxShard int64) (*PlainFolder, error) {
	if err := m.checkFolder(); err != nil {
		return nil, err
	}
	f := &PlainFolder{}
	if err := m.addShards(f, maxShard); err != nil {
		return nil, err
	}
	f.add("config.json", m.configJSON())
	f.add("generation_config.json", m.generationJSON())
	if source != "" {
		return f, m.copyTokenizer(f, source)
	}
	if m.Vocab != nil {
		if err := m.Vocab.WriteJSON(io.Discard); err != nil { // before any work
			return nil, err
		}
		f.Files = append(f.Files, SideFile{"tokenizer.json", m.Vocab.WriteJSON})
		f.add("tokenizer_config.json", m.tokenizerConfig())
	}
	return f, nil
}

func (m *Plain) checkFolder() error {
	if err := m.Config.Validate(); err != nil {
		return err
	}
	if torchTypes[m.Norms] == "" {
		return fmt.Errorf("norms: want F32, F16 or BF16, found %v", m.Norms)
	}
	for _, s := range ownSpecs(&m.Config) {
		typ, ok := m.Types[s.name]
		switch {
		case len(s.shape) == 1:
		case !ok || toSafetensors[typ] == "":
			return fmt.Errorf("tensor %s: want F32, F16, BF16 or I8, found %v", s.name, typ)
		case typ == gguf.I8 && (s.name == embedding || s.name == head):
			return fmt.Errorf("tensor %s: want F32, F16 or BF16 (compressed-tensors leaves it as it is), found I8", s.name)
		}
	}
	return nil
}

// add appends a JSON file.
func (f *PlainFolder) add(name string, v any) {
	f.Files = append(f.Files, SideFile{name, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}})
}

// stored is one tensor of a shard: weights, or the scales of int8 ones.
type stored struct {
	spec
	typ    gguf.Type
	scales bool
}

// addShards shares the parameters out among files in the order of the model.
func (m *Plain) addShards(f *PlainFolder, maxShard int64) error {
	var shards [][]stored
	room, total := int64(0), int64(0)
	for _, s := range ownSpecs(&m.Config) {
		list := []stored{{s, m.Norms, false}}
		if len(s.shape) == 2 {
			list[0].typ = m.Types[s.name]
		}
		if list[0].typ == gguf.I8 {
			scale := s
			scale.hf, scale.shape = s.hf+compressed.ScaleSuffix, []int{s.shape[0], 1}
			list = append(list, stored{scale, gguf.F32, true})
		}
		size := int64(0)
		for _, x := range list {
			n, err := x.source().Size()
			if err != nil {
				return err
			}
			size += int64(n)
		}
		if len(shards) == 0 || size > room {
			shards, room = append(shards, nil), maxShard
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], list...)
		room, total = room-size, total+size
	}
	where := map[string]string{}
	for i, list := range shards {
		name := singleFile
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		shard, err := m.shard(name, list)
		if err != nil {
			return err
		}
		f.Shards = append(f.Shards, shard)
		for _, x := range list {
			where[x.hf] = name
		}
	}
	if len(shards) > 1 {
		f.add(indexFile, map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": where})
	}
	return nil
}

func (x *stored) source() *safetensors.Source {
	return &safetensors.Source{Name: x.hf, DType: toSafetensors[x.typ], Shape: x.shape}
}

// shard plans one file. Wider types come first, so that each is aligned; the reference writer has this order.
func (m *Plain) shard(name string, list []stored) (*PlainFile, error) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b stored) int { return cmp.Compare(b.source().DType.Size(), a.source().DType.Size()) })
	sources := make([]safetensors.Source, len(list))
	for i := range list {
		sources[i] = *list[i].source()
	}
	metadata := map[string]string{"format": "pt"} // which transformers demands
	for key, v := range m.Provenance {
		metadata[provenanceKey+key] = v
	}
	header, err := safetensors.Header(sources, metadata)
	if err != nil {
		return nil, err
	}
	f := &PlainFile{Name: name, Header: header, Size: int64(len(header)), Tensors: map[string]PlainTensor{}}
	for i, x := range list {
		n, err := sources[i].Size()
		if err != nil {
			return nil, err
		}
		t := f.Tensors[x.name]
		if x.scales {
			t.ScaleOffset = f.Size
		} else {
			scales := t.ScaleOffset
			t = plainTensor(x.typ, x.shape)
			t.Offset, t.RowBytes, t.ScaleOffset = f.Size, n/t.Rows, scales
		}
		f.Tensors[x.name] = t
		f.Size += int64(n)
	}
	return f, nil
}

// float is a number that JSON readers take for no integer, as the reference's types demand; 0 is null, which means off.
func float(v float32) any {
	if v == 0 {
		return nil
	}
	return decimal(float64(v), 32)
}

// configJSON is a config.json that transformers reads since Gemma 2 came out: rope_theta and torch_dtype have other names by now, but
// the old ones are known.
func (m *Plain) configJSON() map[string]any {
	c := &m.Config
	types := make([]string, len(c.Global))
	for l, global := range c.Global {
		types[l] = "sliding_attention"
		if global {
			types[l] = "full_attention"
		}
	}
	o := map[string]any{
		"architectures": []string{"Gemma2ForCausalLM"}, "model_type": "gemma2", "torch_dtype": torchTypes[m.Norms], "use_cache": true,
		"vocab_size": c.VocabSize, "hidden_size": c.HiddenSize, "intermediate_size": c.IntermediateSize, "num_hidden_layers": c.NumLayers,
		"num_attention_heads": c.NumHeads, "num_key_value_heads": c.NumKVHeads, "head_dim": c.HeadDim, "sliding_window": c.SlidingWindow,
		"query_pre_attn_scalar": c.QueryPreAttnScalar, "attn_logit_softcapping": float(c.AttnSoftcap),
		"final_logit_softcapping": float(c.FinalSoftcap), "rms_norm_eps": float(c.RMSNormEps), "rope_theta": decimal(c.RopeTheta, 64),
		"max_position_embeddings": c.MaxPositions, "tie_word_embeddings": c.TieEmbeddings, "layer_types": types,
		"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "attention_dropout": 0.0,
	}
	m.roles(o)
	if ignore, some := m.unquantised(); some {
		o["quantization_config"] = compressed.Config(ignore)
	}
	return o
}

// decimal writes a number of that many bits with a point.
func decimal(v float64, bits int) json.RawMessage {
	s := strconv.FormatFloat(v, 'g', -1, bits)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return json.RawMessage(s)
}

// roles sets the ids of control tokens.
func (m *Plain) roles(o map[string]any) {
	if v := m.Vocab; v != nil {
		for key, id := range map[string]int32{"bos_token_id": role(v, v.BOS, "<bos>"), "pad_token_id": role(v, v.PAD, "<pad>")} {
			if id >= 0 {
				o[key] = id
			}
		}
	}
	switch len(m.EOS) {
	case 0:
		o["eos_token_id"] = nil
	case 1:
		o["eos_token_id"] = m.EOS[0]
	default:
		o["eos_token_id"] = m.EOS
	}
}

// unquantised lists the linear modules that are not int8, and says whether any is.
func (m *Plain) unquantised() (ignore []string, some bool) {
	ignore = []string{}
	for _, s := range append(specs(&m.Config), headSpec(&m.Config)) {
		switch {
		case len(s.shape) == 1 || s.name == embedding:
		case m.Types[s.name] == gguf.I8:
			some = true
		default:
			ignore = append(ignore, strings.TrimSuffix(s.hf, ".weight"))
		}
	}
	return ignore, some
}

func (m *Plain) generationJSON() map[string]any {
	o := map[string]any{}
	m.roles(o)
	for _, s := range m.Generation.settings() {
		switch {
		case s.b != nil && *s.b != nil:
			o[s.hf] = **s.b
		case s.f != nil && *s.f != nil:
			o[s.hf] = decimal(float64(**s.f), 32)
		case s.n != nil && *s.n != nil:
			o[s.hf] = **s.n
		}
	}
	var rules map[string]any
	if err := json.Unmarshal([]byte(m.Generation.Rules.text()), &rules); err == nil { // it is our own text
		delete(rules, "left")
		maps.Copy(o, rules)
	}
	return o
}

func (m *Plain) tokenizerConfig() map[string]any {
	v := m.Vocab
	o := map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": true, "add_eos_token": false, "clean_up_tokenization_spaces": false,
		"spaces_between_special_tokens": false, "model_max_length": m.Config.MaxPositions,
	}
	for key, id := range map[string]int32{
		"bos_token": role(v, v.BOS, "<bos>"), "eos_token": role(v, v.EOS, "<eos>"), "pad_token": role(v, v.PAD, "<pad>"), "unk_token": role(v, v.UNK, "<unk>"),
	} {
		if id >= 0 {
			o[key] = v.Pieces[id].Text
		}
	}
	if m.ChatTemplate != "" {
		o["chat_template"] = m.ChatTemplate
	}
	return o
}

// copyTokenizer takes over the files of a folder that have to do with text.
func (m *Plain) copyTokenizer(f *PlainFolder, source string) error {
	template, err := readTemplate(source)
	if err != nil {
		return err
	}
	same, placed := m.ChatTemplate == template, m.ChatTemplate == template
	for _, name := range []string{"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja"} {
		data, err := textFile(source, name)
		switch {
		case err != nil:
			return err
		case data == nil || name == "chat_template.jinja" && !same:
		case name == "tokenizer_config.json" && !same:
			var o map[string]any
			if err := json.Unmarshal(data, &o); err != nil {
				return fmt.Errorf("%s: %w", filepath.Join(source, name), err)
			}
			o["chat_template"] = m.ChatTemplate
			f.add(name, o)
			placed = true
		default:
			f.Files = append(f.Files, SideFile{name, func(w io.Writer) error { _, err := w.Write(data); return err }})
		}
	}
	if !placed {
		f.Files = append(f.Files, SideFile{"chat_template.jinja", func(w io.Writer) error { _, err := io.WriteString(w, m.ChatTemplate); return err }})
	}
	return nil
}

// textFile reads a file of a tokenizer, nil if there is none. A packed tokenizer.json is unpacked.
func textFile(source, name string) ([]byte, error) {
	limit := maxSideFile
	if strings.HasPrefix(name, "tokenizer.") {
		limit = maxTokenizer
	}
	data, err := readFile(source, name, limit)
	if err != nil || data != nil || name != "tokenizer.json" {
		return data, err
	}
	if data, err = readFile(source, name+".gz", limit); err != nil || data == nil {
		return nil, err
	}
	if data, err = gunzip(data); err != nil {
		return nil, fmt.Errorf("%s.gz: %w", filepath.Join(source, name), err)
	}
	return data, nil
}
