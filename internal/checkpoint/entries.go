package checkpoint

import (
	"maps"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// entries is all metadata but the checksums.
func (m *Model) entries() []gguf.Entry {
	c := &m.Config
	list := slices.Concat([]gguf.Entry{
		{Key: "general.architecture", Value: "gemma2"},
		{Key: "general.type", Value: "model"},
		{Key: "general.name", Value: m.Name},
		{Key: "general.alignment", Value: uint32(alignment)},
		{Key: "general.quantization_version", Value: uint32(2)},
	}, configEntries(c), []gguf.Entry{
		{Key: versionKey, Value: uint32(LayoutVersion)},
		{Key: scalarKey, Value: c.QueryPreAttnScalar},
		{Key: thetaKey, Value: c.RopeTheta},
		{Key: globalKey, Value: c.Global},
		{Key: tiedKey, Value: c.TieEmbeddings},
	}, m.layoutEntries(), vocabEntries(m.Vocab), m.Generation.entries())
	if m.ChatTemplate != "" {
		list = append(list, gguf.Entry{Key: "tokenizer.chat_template", Value: m.ChatTemplate})
	}
	if m.SystemMode != "" {
		list = append(list, gguf.Entry{Key: modeKey, Value: m.SystemMode})
	}
	list = append(list, gguf.Entry{Key: eosKey, Value: append([]int32{}, m.EOS...)})
	for _, key := range slices.Sorted(maps.Keys(m.Provenance)) {
		list = append(list, gguf.Entry{Key: provenanceKey + key, Value: m.Provenance[key]})
	}
	if m.ReportSpace > 0 {
		list = append(list, gguf.Entry{Key: reportKey, Value: strings.Repeat(" ", m.ReportSpace)})
	}
	return list
}

// configEntries are the hyperparameters as GGUF's own keys say them.
func configEntries(c *arch.Config) []gguf.Entry {
	return []gguf.Entry{
		{Key: "gemma2.vocab_size", Value: uint32(c.VocabSize)},
		{Key: "gemma2.context_length", Value: uint32(c.MaxPositions)},
		{Key: "gemma2.embedding_length", Value: uint32(c.HiddenSize)},
		{Key: "gemma2.block_count", Value: uint32(c.NumLayers)},
		{Key: "gemma2.feed_forward_length", Value: uint32(c.IntermediateSize)},
		{Key: "gemma2.attention.head_count", Value: uint32(c.NumHeads)},
		{Key: "gemma2.attention.head_count_kv", Value: uint32(c.NumKVHeads)},
		{Key: "gemma2.attention.key_length", Value: uint32(c.HeadDim)},
		{Key: "gemma2.attention.value_length", Value: uint32(c.HeadDim)},
		{Key: "gemma2.attention.layer_norm_rms_epsilon", Value: c.RMSNormEps},
		{Key: "gemma2.attention.sliding_window", Value: uint32(c.SlidingWindow)},
		{Key: "gemma2.attn_logit_softcapping", Value: c.AttnSoftcap},
		{Key: "gemma2.final_logit_softcapping", Value: c.FinalSoftcap},
		{Key: "gemma2.rope.freq_base", Value: float32(c.RopeTheta)},
	}
}

// layoutEntries describes each matrix without its padding.
func (m *Model) layoutEntries() []gguf.Entry {
	var names, layouts []string
	var rows, columns []uint32
	for _, s := range ownSpecs(&m.Config) {
		if len(s.shape) == 2 {
			names, layouts = append(names, s.name), append(layouts, m.Matrices[s.name].Format())
			rows, columns = append(rows, uint32(s.shape[0])), append(columns, uint32(s.shape[1]))
		}
	}
	return []gguf.Entry{
		{Key: namesKey, Value: names}, {Key: layoutsKey, Value: layouts}, {Key: rowsKey, Value: rows}, {Key: columnsKey, Value: columns},
	}
}

// vocabEntries is a tokenizer as llama.cpp's keys describe it; nil has none.
func vocabEntries(v *tokenizer.Vocab) []gguf.Entry {
	if v == nil {
		return nil
	}
	n := len(v.Pieces)
	texts, scores, types := make([]string, n), make([]float32, n), make([]int32, n)
	for i, p := range v.Pieces {
		texts[i], scores[i], types[i] = p.Text, p.Score, int32(p.Type)
	}
	list := []gguf.Entry{
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.pre", Value: "default"},
		{Key: "tokenizer.ggml.tokens", Value: texts},
		{Key: "tokenizer.ggml.scores", Value: scores},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.add_space_prefix", Value: v.AddSpacePrefix},
	}
	for _, role := range []struct {
		key string
		id  int32
	}{
		{"bos_token_id", v.BOS}, {"eos_token_id", v.EOS}, {"padding_token_id", v.PAD}, {"unknown_token_id", v.UNK}, {"eot_token_id", v.EndOfTurn},
	} {
		if role.id >= 0 {
			list = append(list, gguf.Entry{Key: "tokenizer.ggml." + role.key, Value: uint32(role.id)})
		}
	}
	if v.Control == tokenizer.ControlByType {
		list = append(list, gguf.Entry{Key: controlKey, Value: true})
	}
	return list
}
