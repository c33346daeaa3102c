package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
)

// writeGGUF writes a plain file with llama.cpp's names; norms are float32, stored as w+1.
func (m *model) writeGGUF(w io.Writer, e encoding) error {
	c := &m.config
	pieces, types := vocabulary(c.VocabSize)
	scores := make([]float32, len(pieces))
	for i := range scores {
		if types[i] == pieceNormal {
			scores[i] = -float32(i)
		}
	}
	entries := []gguf.Entry{
		{Key: "general.architecture", Value: "gemma2"}, {Key: "general.type", Value: "model"}, {Key: "general.name", Value: "synthetic " + m.shape},
		{Key: "general.file_type", Value: e.fileType}, {Key: "general.quantization_version", Value: uint32(2)},
		{Key: "gemma2.context_length", Value: uint32(c.MaxPositions)}, {Key: "gemma2.embedding_length", Value: uint32(c.HiddenSize)},
		{Key: "gemma2.block_count", Value: uint32(c.NumLayers)}, {Key: "gemma2.feed_forward_length", Value: uint32(c.IntermediateSize)},
		{Key: "gemma2.attention.head_count", Value: uint32(c.NumHeads)}, {Key: "gemma2.attention.head_count_kv", Value: uint32(c.NumKVHeads)},
		{Key: "gemma2.attention.layer_norm_rms_epsilon", Value: c.RMSNormEps},
		{Key: "gemma2.attention.key_length", Value: uint32(c.HeadDim)}, {Key: "gemma2.attention.value_length", Value: uint32(c.HeadDim)},
		{Key: "gemma2.attn_logit_softcapping", Value: c.AttnSoftcap}, {Key: "gemma2.final_logit_softcapping", Value: c.FinalSoftcap},
		{Key: "gemma2.attention.sliding_window", Value: uint32(c.SlidingWindow)},
		{Key: "tokenizer.ggml.model", Value: "llama"}, {Key: "tokenizer.ggml.pre", Value: "default"},
		{Key: "tokenizer.ggml.tokens", Value: pieces}, {Key: "tokenizer.ggml.scores", Value: scores}, {Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(2)}, {Key: "tokenizer.ggml.eos_token_id", Value: uint32(1)},
		{Key: "tokenizer.ggml.unknown_token_id", Value: uint32(3)}, {Key: "tokenizer.ggml.padding_token_id", Value: uint32(0)},
		{Key: "tokenizer.ggml.eot_token_id", Value: uint32(107)}, {Key: "tokenizer.ggml.add_bos_token", Value: true},
		{Key: "tokenizer.ggml.add_eos_token", Value: false}, {Key: "tokenizer.ggml.add_space_prefix", Value: false},
	}
	var tensors []gguf.Source
	for _, p := range partsOf(c) {
		if p.Cols == 0 {
			tensors = append(tensors, gguf.Source{Name: p.Name, Type: gguf.F32, Shape: []int{p.Rows}, Write: func(w io.Writer) error {
				_, err := w.Write(bytes.Repeat(binary.LittleEndian.AppendUint32(nil, 0x3f800000), p.Rows)) // 1
				return err
			}})
			continue
		}
		tensors = append(tensors, gguf.Source{Name: p.Name, Type: e.typ, Shape: []int{p.Rows, p.Cols}, Write: func(w io.Writer) error { return m.matrix(w, p, e) }})
	}
	return gguf.Write(w, slices.Clip(entries), tensors)
}
