package systemgemma

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
)

// Info is what a model's files say about themselves.
type Info struct {
	Name             string            `json:"name"`   // as opened
	Format           string            `json:"format"` // huggingface, gguf, systemgemma (the product's own) or tokenizer
	Config           *Config           `json:"config,omitempty"`
	Parameters       int64             `json:"parameters,omitempty"`
	Bytes            int64             `json:"bytes,omitempty"` // of all tensors
	Tensors          []TensorInfo      `json:"tensors,omitempty"`
	Vocabulary       int               `json:"vocabulary,omitempty"` // tokens; 0 without a tokenizer
	EOS              []int32           `json:"eos,omitempty"`        // ids that end an answer
	ChatTemplate     string            `json:"chat_template,omitempty"`
	SystemMode       string            `json:"system_mode"`
	SystemModeReason string            `json:"system_mode_reason,omitempty"`
	Sampling         *Sampling         `json:"sampling,omitempty"` // defaults from the files
	Generation       *GenerationInfo   `json:"generation,omitempty"`
	Metadata         map[string]string `json:"metadata,omitempty"` // provenance and licence, as the files state them
	// Quality is the report that a file of the product's own keeps since its conversion: B is this file, A what it was made of. It is
	// what whoever made the file says, not measured again. nil: none.
	Quality *Quality `json:"quality,omitempty"`
	Notes   []string `json:"notes,omitempty"` // what was found and left out, and why that is harmless; why it can't be run
}

// GenerationInfo is what the files say about answers besides Sampling: what GenerateOptions mean that leave it open.
type GenerationInfo struct {
	MaxTokens int      `json:"max_tokens,omitempty"`
	MinTokens int      `json:"min_tokens,omitempty"`
	MaxTime   float64  `json:"max_time,omitempty"` // seconds
	Stop      []string `json:"stop,omitempty"`
	// Left are settings that mean another way to generate, each with its value: they change nothing here. Ask for what they mean by name.
	Left []string `json:"left,omitempty"`
}

// Config holds the hyperparameters of a model, named as in Hugging Face's config.json.
type Config struct {
	VocabSize          int      `json:"vocab_size"`
	HiddenSize         int      `json:"hidden_size"`
	IntermediateSize   int      `json:"intermediate_size"`
	NumLayers          int      `json:"num_hidden_layers"`
	NumHeads           int      `json:"num_attention_heads"`
	NumKVHeads         int      `json:"num_key_value_heads"`
	HeadDim            int      `json:"head_dim"`
	QueryPreAttnScalar float64  `json:"query_pre_attn_scalar"`
	AttnSoftcap        float32  `json:"attn_logit_softcapping"`  // 0: off
	FinalSoftcap       float32  `json:"final_logit_softcapping"` // 0: off
	SlidingWindow      int      `json:"sliding_window"`
	LayerTypes         []string `json:"layer_types"`
	RopeTheta          float64  `json:"rope_theta"`
	RMSNormEps         float32  `json:"rms_norm_eps"`
	MaxPositions       int      `json:"max_position_embeddings"`
	TieEmbeddings      bool     `json:"tie_word_embeddings"`
}

// TensorInfo is one tensor of a model.
type TensorInfo struct {
	Name  string `json:"name"` // as llama.cpp names it
	Type  string `json:"type"` // as stored; W8C is int8 per output channel
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`
}

// Describe says what a model's files hold, without arranging weights: also of types that can be listed but not run. Of the
// options only SystemMode and Template count.
func Describe(name string, o *Options) (Info, error) {
	if o == nil {
		o = &Options{}
	}
	ck, err := openCheckpoint(name, checkpoint.Open)
	if err != nil {
		text, textErr := openCheckpoint(name, checkpoint.OpenText)
		if textErr != nil || !errors.Is(err, ErrNoWeights) && text.Format != checkpoint.Tokenizer {
			return Info{}, err // weights that can't be opened are no reason to hide them
		}
		ck = text
	}
	t, err := newText(ck, o)
	if err != nil {
		return Info{}, errors.Join(fmt.Errorf("open %s: %w", displayName(name), err), ck.Close())
	}
	i := t.Info()
	if ck.HasConfig {
		s := defaultSampling(ck)
		i.Sampling, i.Generation = &s, defaultGeneration(ck)
	}
	return i, t.Close()
}

// Info describes the opened files.
func (t *Text) Info() Info {
	ck := t.checkpoint
	i := Info{
		Name: displayName(ck.Path), Format: string(ck.Format), EOS: ck.EOS, ChatTemplate: ck.ChatTemplate,
		SystemMode: string(t.mode), SystemModeReason: t.modeReason, Metadata: ck.Metadata, Notes: ck.Notes,
	}
	if t.tok != nil {
		i.Vocabulary = t.tok.Size()
	}
	if ck.HasConfig {
		i.Config = configInfo(&ck.Config)
	}
	if err := ck.Runnable(); err != nil {
		i.Notes = append(slices.Clip(i.Notes), fmt.Sprintf("can't be run: %v", err))
	}
	var err error
	if i.Quality, err = parseReport(ck.Report); err != nil {
		i.Notes = append(slices.Clip(i.Notes), err.Error())
	}
	i.Tensors = tensorInfos(ck)
	for _, x := range i.Tensors {
		n := int64(1)
		for _, d := range x.Shape {
			n *= int64(d)
		}
		i.Parameters += n
		i.Bytes += x.Bytes
	}
	return i
}

// Info describes the opened files, the sampling defaults included.
func (m *Model) Info() Info {
	i := m.Text.Info()
	s := m.defaults
	i.Sampling, i.Generation = &s, defaultGeneration(m.checkpoint)
	return i
}

func configInfo(c *arch.Config) *Config {
	out := &Config{
		c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumLayers, c.NumHeads, c.NumKVHeads, c.HeadDim, c.QueryPreAttnScalar,
		c.AttnSoftcap, c.FinalSoftcap, c.SlidingWindow, nil, c.RopeTheta, c.RMSNormEps, c.MaxPositions, c.TieEmbeddings,
	}
	for _, global := range c.Global {
		name := "sliding_attention"
		if global {
			name = "full_attention"
		}
		out.LayerTypes = append(out.LayerTypes, name)
	}
	return out
}

// tensorInfos lists matrices and norms by name, numbers in names by value.
func tensorInfos(ck *checkpoint.Checkpoint) []TensorInfo {
	var list []TensorInfo
	for _, name := range slices.Sorted(maps.Keys(ck.Tensors)) {
		x := ck.Tensors[name]
		list = append(list, TensorInfo{name, x.Type.String(), x.Shape, int64(len(x.Data))})
	}
	for _, name := range slices.Sorted(maps.Keys(ck.Matrices)) {
		m := ck.Matrices[name]
		size := int64(len(m.Data) + 4*len(m.Scale) + 4*len(m.RowSum))
		list = append(list, TensorInfo{name, m.Layout.String(), []int{m.Rows, m.Cols}, size})
	}
	slices.SortStableFunc(list, func(a, b TensorInfo) int {
		return cmp.Or(cmp.Compare(blockOf(a.Name), blockOf(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// blockOf is the layer number in a tensor's name, -1 for the embedding, and after all layers for the rest.
func blockOf(name string) int {
	n, digits := 0, 0
	const prefix = "blk."
	if len(name) <= len(prefix) || name[:len(prefix)] != prefix {
		if name == "token_embd.weight" {
			return -1
		}
		return 1 << 30
	}
	for _, c := range name[len(prefix):] {
		if c < '0' || c > '9' || digits == 6 {
			break
		}
		n, digits = 10*n+int(c-'0'), digits+1
	}
	return n
}

// quantised says whether the file holds weights below 16 bits, for which less exact keys and values are the default.
func quantised(ck *checkpoint.Checkpoint) bool {
	for _, m := range ck.Matrices {
		if m.Layout.Bits() < 16 {
			return true
		}
	}
	for _, t := range ck.Tensors {
		if size, err := t.Type.RowSize(256); err == nil && size < 512 {
			return true
		}
	}
	return false
}

// defaultSampling is what the files recommend, as transformers reads them: greedy unless do_sample says otherwise. A GGUF
// file that names a temperature means it to be used. Options of a generation_config.json have transformers' meaning.
func defaultSampling(ck *checkpoint.Checkpoint) Sampling {
	g := &ck.Generation
	sample := ck.Format != checkpoint.HuggingFace && g.Temperature != nil
	if g.DoSample != nil {
		sample = *g.DoSample
	}
	s := Sampling{RepetitionPenalty: value(g.RepetitionPenalty, 1)}
	if sample {
		if ck.Format == checkpoint.HuggingFace {
			s.Rules = RulesTransformers
		}
		s.Temperature, s.TopP, s.MinP = value(g.Temperature, 1), value(g.TopP, 1), value(g.MinP, 0)
		s.TopK = 50 // transformers' default
		if g.TopK != nil {
			s.TopK = *g.TopK
		}
		s.TypicalP, s.EpsilonCutoff, s.EtaCutoff, s.TopH = value(g.TypicalP, 0), value(g.EpsilonCutoff, 0), value(g.EtaCutoff, 0), value(g.TopH, 0)
	}
	s.EncoderRepetitionPenalty = value(g.EncoderRepetitionPenalty, 0)
	if g.NoRepeatNgram != nil {
		s.NoRepeatNgram = *g.NoRepeatNgram
	}
	rulesOf(ck, &s)
	return s
}

// rulesOf sets the rules about tokens.
func rulesOf(ck *checkpoint.Checkpoint, s *Sampling) {
	r := &ck.Generation.Rules
	s.BadWordIDs = r.BadWords
	for _, b := range r.SequenceBias {
		s.SequenceBias = append(s.SequenceBias, Bias{IDs: b.IDs, Add: b.Bias})
	}
	s.Suppress, s.BeginSuppress, s.ForcedEOS = r.Suppress, r.BeginSuppress, r.ForcedEOS
	if r.ForcedBOS != nil {
		s.ForcedBOS = *r.ForcedBOS
	}
	if r.Decay != nil {
		s.DecayStart, s.DecayFactor = r.Decay.Start, r.Decay.Factor
	}
}

// defaultGeneration is what the files say about answers besides; nil: nothing.
func defaultGeneration(ck *checkpoint.Checkpoint) *GenerationInfo {
	g := &ck.Generation
	i := GenerationInfo{MaxTime: value(g.MaxTime, 0), Stop: g.Rules.Stop, Left: g.Rules.Left}
	if g.MaxNewTokens != nil {
		i.MaxTokens = *g.MaxNewTokens
	}
	if g.MinNewTokens != nil {
		i.MinTokens = *g.MinNewTokens
	}
	if i.MaxTokens == 0 && i.MinTokens == 0 && i.MaxTime == 0 && i.Stop == nil && i.Left == nil {
		return nil
	}
	return &i
}

func value(p *float32, otherwise float64) float64 {
	if p == nil {
		return otherwise
	}
	v, _ := strconv.ParseFloat(strconv.FormatFloat(float64(*p), 'g', -1, 32), 64) // 0.7, not 0.699999988
	return v
}
