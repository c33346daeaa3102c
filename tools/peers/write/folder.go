package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/load"
)

// partsOf lists the parameters of a model.
func partsOf(c *arch.Config) []load.Part { return load.Parts(c) }

// shardBytes bounds a safetensors file, as Hugging Face's do.
const shardBytes = 2 << 30

// writeFolder writes a Hugging Face folder: bf16 safetensors in shards, config and a made-up tokenizer.
func (m *model) writeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	shards, total := split(partsOf(&m.config))
	index := map[string]string{}
	for i, parts := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		for _, p := range parts {
			index[hfName(p.Name)] = name
		}
		if err := writeFile(filepath.Join(dir, name), func(w io.Writer) error { return m.writeShard(w, parts) }); err != nil {
			return err
		}
	}
	for name, content := range map[string]any{
		"model.safetensors.index.json": map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": index},
		"config.json":                  hfConfig(&m.config),
		"generation_config.json":       map[string]any{"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0},
		"tokenizer.json":               hfTokenizer(m.config.VocabSize),
		"tokenizer_config.json": map[string]any{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<bos>", "eos_token": "<eos>",
			"unk_token": "<unk>", "pad_token": "<pad>", "model_max_length": m.config.MaxPositions, "clean_up_tokenization_spaces": false},
		"special_tokens_map.json": map[string]any{"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "pad_token": "<pad>"},
	} {
		err := writeFile(filepath.Join(dir, name), func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			return e.Encode(content)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func sizeOf(p load.Part) int64 { return 2 * int64(p.Rows) * int64(max(1, p.Cols)) }

// split cuts the list into shards and sums the bytes.
func split(parts []load.Part) (shards [][]load.Part, total int64) {
	size := int64(shardBytes)
	for _, p := range parts {
		n := sizeOf(p)
		if size+n > shardBytes {
			shards, size = append(shards, nil), 0
		}
		last := len(shards) - 1
		shards[last] = append(shards[last], p)
		size, total = size+n, total+n
	}
	return shards, total
}

// writeShard writes one safetensors file; norms are stored as w, which is 0.
func (m *model) writeShard(w io.Writer, parts []load.Part) error {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	header, at := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, int64(0)
	for _, p := range parts {
		shape := []int{p.Rows, p.Cols}
		if p.Cols == 0 {
			shape = shape[:1]
		}
		header[hfName(p.Name)] = entry{"BF16", shape, [2]int64{at, at + sizeOf(p)}}
		at += sizeOf(p)
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	text = append(text, bytes.Repeat([]byte{' '}, -len(text)&7)...)
	if _, err := w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)); err != nil {
		return err
	}
	for _, p := range parts {
		if p.Cols == 0 {
			_, err = w.Write(make([]byte, sizeOf(p)))
		} else {
			err = m.matrix(w, p, bf16)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var hfNames = strings.NewReplacer("token_embd.", "model.embed_tokens.", "output_norm.", "model.norm.", "blk.", "model.layers.",
	".attn_norm.", ".input_layernorm.", ".attn_q.", ".self_attn.q_proj.", ".attn_k.", ".self_attn.k_proj.", ".attn_v.", ".self_attn.v_proj.",
	".attn_output.", ".self_attn.o_proj.", ".post_attention_norm.", ".post_attention_layernorm.", ".ffn_norm.", ".pre_feedforward_layernorm.",
	".ffn_gate.", ".mlp.gate_proj.", ".ffn_up.", ".mlp.up_proj.", ".ffn_down.", ".mlp.down_proj.", ".post_ffw_norm.", ".post_feedforward_layernorm.")

// hfName turns a name of GGUF into that of Hugging Face. The replacer walks once from left to right, and a dot that ends one name
// begins the next, so the layer's number keeps the two apart.
func hfName(name string) string { return hfNames.Replace(name) }

func hfConfig(c *arch.Config) map[string]any {
	return map[string]any{
		"architectures": []string{"Gemma2ForCausalLM"}, "model_type": "gemma2", "torch_dtype": "bfloat16",
		"vocab_size": c.VocabSize, "hidden_size": c.HiddenSize, "intermediate_size": c.IntermediateSize, "num_hidden_layers": c.NumLayers,
		"num_attention_heads": c.NumHeads, "num_key_value_heads": c.NumKVHeads, "head_dim": c.HeadDim, "query_pre_attn_scalar": c.QueryPreAttnScalar,
		"attn_logit_softcapping": c.AttnSoftcap, "final_logit_softcapping": c.FinalSoftcap, "sliding_window": c.SlidingWindow,
		"rope_theta": c.RopeTheta, "rms_norm_eps": c.RMSNormEps, "max_position_embeddings": c.MaxPositions, "tie_word_embeddings": true,
		"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "attention_dropout": 0.0,
		"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "initializer_range": 0.02, "use_cache": true, "cache_implementation": "hybrid",
	}
}

// hfTokenizer is a tokenizer.json like Gemma 2's, with one merge.
func hfTokenizer(n int) map[string]any {
	pieces, types := vocabulary(n)
	ids, added := map[string]int{}, []map[string]any{}
	for i, p := range pieces {
		ids[p] = i
		if types[i] == pieceControl || types[i] == pieceUnknown {
			added = append(added, map[string]any{"id": i, "content": p, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
		}
	}
	replace := func(from, to string) map[string]any {
		return map[string]any{"type": "Replace", "pattern": map[string]any{"String": from}, "content": to}
	}
	sequence := func(id string) map[string]any {
		return map[string]any{"Sequence": map[string]any{"id": id, "type_id": 0}}
	}
	bos := map[string]any{"SpecialToken": map[string]any{"id": "<bos>", "type_id": 0}}
	return map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added,
		"normalizer": replace(" ", "▁"), "pre_tokenizer": nil,
		"post_processor": map[string]any{"type": "TemplateProcessing", "single": []any{bos, sequence("A")}, "pair": []any{bos, sequence("A"), sequence("B")},
			"special_tokens": map[string]any{"<bos>": map[string]any{"id": "<bos>", "ids": []int{2}, "tokens": []string{"<bos>"}}}},
		"decoder": map[string]any{"type": "Sequence", "decoders": []any{replace("▁", " "), map[string]any{"type": "ByteFallback"}, map[string]any{"type": "Fuse"}}},
		"model": map[string]any{"type": "BPE", "dropout": nil, "unk_token": "<unk>", "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": ids, "merges": []string{"a b"}},
	}
}
