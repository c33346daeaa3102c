package checkpoint

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// readForeign reads a GGUF file of another program.
func (c *Checkpoint) readForeign(f *gguf.File, weights bool) error {
	if err := c.readGGUFText(f); err != nil {
		return err
	}
	if !weights {
		if c.Vocab == nil {
			return errors.New("metadata tokenizer.ggml.tokens: missing; want a GGUF file with a tokenizer")
		}
		return nil
	}
	var err error
	if c.Config, err = ggufConfig(f); err != nil {
		return err
	}
	c.HasConfig = true
	source := make(map[string]Tensor, len(f.Tensors))
	for _, t := range f.Tensors {
		source[t.Name] = fromGGUF(t)
	}
	if err := c.bind(source, func(s spec) string { return s.name }); err != nil {
		return err
	}
	return c.checkText()
}

// readGGUFText reads what both kinds of GGUF file say about text and themselves.
func (c *Checkpoint) readGGUFText(f *gguf.File) error {
	m := &metadata{file: f}
	if a := m.text("general.architecture", ""); m.err == nil && a != "gemma2" {
		return fmt.Errorf("metadata general.architecture: %s, found %.40q", supported, a)
	}
	if kind := m.text("general.type", "model"); m.err == nil && kind != "model" {
		return fmt.Errorf("metadata general.type: want model, found %.40q", kind)
	}
	if n := m.int("split.count", 1); n > 1 {
		return fmt.Errorf("metadata split.count: want a single file, found one of %d; merge them (llama-gguf-split --merge)", n)
	}
	c.ChatTemplate = m.text("tokenizer.chat_template", "")
	if m.err != nil {
		return m.err
	}
	var err error
	if c.Vocab, err = ggufVocab(f); err != nil {
		return err
	}
	if err := c.readGeneration(f); err != nil {
		return err
	}
	if c.EOS, err = endIDs(c.Vocab); err != nil {
		return err
	}
	c.Metadata = map[string]string{}
	for _, v := range f.Metadata {
		if strings.HasPrefix(v.Key, "general.") || strings.HasPrefix(v.Key, ownPrefix) {
			c.Metadata[v.Key] = display(v)
		}
	}
	return nil
}

// ggufConfig reads the hyperparameters. Keys without a default are required; the defaults are llama.cpp's.
func ggufConfig(f *gguf.File) (arch.Config, error) {
	m := &metadata{file: f}
	cfg := arch.Defaults()
	cfg.HiddenSize = m.int("gemma2.embedding_length", required)
	cfg.IntermediateSize = m.int("gemma2.feed_forward_length", required)
	cfg.NumLayers = m.int("gemma2.block_count", required)
	cfg.NumHeads = m.int("gemma2.attention.head_count", required)
	cfg.NumKVHeads = m.int("gemma2.attention.head_count_kv", required)
	cfg.HeadDim = m.int("gemma2.attention.key_length", required)
	cfg.SlidingWindow = m.int("gemma2.attention.sliding_window", cfg.SlidingWindow)
	cfg.MaxPositions = m.int("gemma2.context_length", cfg.MaxPositions)
	cfg.RMSNormEps = float32(m.float("gemma2.attention.layer_norm_rms_epsilon", float64(cfg.RMSNormEps)))
	cfg.AttnSoftcap = float32(m.float("gemma2.attn_logit_softcapping", float64(cfg.AttnSoftcap)))
	cfg.FinalSoftcap = float32(m.float("gemma2.final_logit_softcapping", float64(cfg.FinalSoftcap)))
	cfg.RopeTheta = m.float("gemma2.rope.freq_base", cfg.RopeTheta)
	m.equal("gemma2.attention.value_length", cfg.HeadDim)
	m.equal("gemma2.rope.dimension_count", cfg.HeadDim)
	if scaling := m.text("gemma2.rope.scaling.type", "none"); m.err == nil && scaling != "none" {
		return cfg, fmt.Errorf("metadata gemma2.rope.scaling.type: want none, found %.40q", scaling)
	}
	t, ok := f.Tensor(embedding)
	if !ok || len(t.Shape) != 2 {
		return cfg, fmt.Errorf("tensor %s: want a matrix, found none; this file has no model", embedding)
	}
	cfg.VocabSize = m.int("gemma2.vocab_size", t.Shape[0])
	m.layers(&cfg)
	cfg.QueryPreAttnScalar = m.queryScalar(&cfg)
	// Tied unless the file has a head of its own: GGUF has no key for it.
	if m.err != nil {
		return cfg, m.err
	}
	return cfg, cfg.Validate()
}

// required marks a key without a default.
const required = math.MinInt

// metadata reads values with the first error kept, so that a list of reads is checked once.
type metadata struct {
	file *gguf.File
	err  error
}

func read[T any](m *metadata, key string, absent T, get func(gguf.Value) (T, error)) T {
	v, ok := m.file.Lookup(key)
	if !ok || m.err != nil {
		return absent
	}
	x, err := get(v)
	if err != nil {
		m.err = err
		return absent
	}
	return x
}

func (m *metadata) int(key string, absent int) int {
	n := read(m, key, absent, gguf.Value.Int)
	if n == required && m.err == nil {
		m.err = fmt.Errorf("metadata %s: missing; convert the model again", key)
	}
	return n
}

func (m *metadata) float(key string, absent float64) float64 {
	return read(m, key, absent, gguf.Value.Float)
}

func (m *metadata) text(key, absent string) string { return read(m, key, absent, gguf.Value.Text) }

// equal demands that key, if it is there, has the one value that a Gemma 2 model can have.
func (m *metadata) equal(key string, want int) {
	if n := m.int(key, want); m.err == nil && n != want {
		m.err = fmt.Errorf("metadata %s: want %d, found %d", key, want, n)
	}
}

// layers fills cfg.Global: layers alternate, unless sliding_window_pattern says otherwise, either as a period (the last
// layer of each is global) or as one bool per layer (true slides).
func (m *metadata) layers(cfg *arch.Config) {
	if m.err != nil || cfg.NumLayers < 1 || cfg.NumLayers > maxLayers {
		return // Validate refuses it
	}
	cfg.AlternateLayers()
	const key = "gemma2.attention.sliding_window_pattern"
	v, ok := m.file.Lookup(key)
	if !ok {
		return
	}
	if sliding, err := v.Bools(); err == nil {
		if len(sliding) != cfg.NumLayers {
			m.err = fmt.Errorf("metadata %s: want one for each of %d layers, found %d", key, cfg.NumLayers, len(sliding))
			return
		}
		for l := range cfg.Global {
			cfg.Global[l] = !sliding[l]
		}
		return
	}
	period := m.int(key, 2)
	if m.err == nil && period < 1 {
		m.err = fmt.Errorf("metadata %s: want a period of at least 1, found %d", key, period)
	}
	for l := range cfg.Global {
		cfg.Global[l] = m.err == nil && l%period == period-1
	}
}

// layers27B is how llama.cpp tells the 27B, the one model whose queries are not scaled by the head size.
const layers27B = 46

// queryScalar is query_pre_attn_scalar, for which GGUF has no key in use: the head size, for the 27B the hidden size per head.
func (m *metadata) queryScalar(cfg *arch.Config) float64 {
	scalar := float64(cfg.HeadDim)
	if cfg.NumLayers == layers27B && cfg.NumHeads > 0 {
		scalar = float64(cfg.HiddenSize / cfg.NumHeads)
	}
	if scale := m.float("gemma2.attention.scale", 0); scale != 0 {
		scalar = 1 / (scale * scale)
	}
	return scalar
}

// ggufVocab reads the tokenizer. Its ids and pieces are checked when a tokenizer is made of it: a file whose tokenizer is of
// no use still runs on ids.
func ggufVocab(f *gguf.File) (*tokenizer.Vocab, error) {
	tokens, ok := f.Lookup("tokenizer.ggml.tokens")
	if !ok {
		return nil, nil
	}
	m := &metadata{file: f}
	if kind := m.text("tokenizer.ggml.model", "llama"); m.err == nil && kind != "llama" {
		return nil, fmt.Errorf("metadata tokenizer.ggml.model: want llama (SentencePiece, as Gemma 2 has), found %.40q", kind)
	}
	n := tokens.Len()
	v := &tokenizer.Vocab{
		BOS:            m.id("tokenizer.ggml.bos_token_id", n),
		EOS:            m.id("tokenizer.ggml.eos_token_id", n),
		PAD:            m.id("tokenizer.ggml.padding_token_id", n),
		UNK:            m.id("tokenizer.ggml.unknown_token_id", n),
		EndOfTurn:      m.id("tokenizer.ggml.eot_token_id", n),
		AddSpacePrefix: read(m, "tokenizer.ggml.add_space_prefix", false, gguf.Value.Bool),
	}
	if read(m, controlKey, false, gguf.Value.Bool) {
		v.Control = tokenizer.ControlByType
	}
	var err error
	if v.Pieces, err = ggufPieces(f, n); err != nil {
		return nil, err
	}
	return v, m.err
}

// ggufPieces joins three arrays of n elements. One is decoded at a time, which bounds the memory.
func ggufPieces(f *gguf.File, n int) ([]tokenizer.Piece, error) {
	texts, err := column(f, "tokenizer.ggml.tokens", n, gguf.Value.Texts)
	if err != nil {
		return nil, err
	}
	pieces := make([]tokenizer.Piece, n)
	for i, s := range texts {
		pieces[i].Text = s
	}
	scores, err := column(f, "tokenizer.ggml.scores", n, gguf.Value.Floats)
	if err != nil {
		return nil, err
	}
	for i, x := range scores {
		pieces[i].Score = x
	}
	const key = "tokenizer.ggml.token_type"
	types, err := column(f, key, n, gguf.Value.Ints)
	if err != nil {
		return nil, err
	}
	for i, t := range types {
		if t < int(tokenizer.Normal) || t > int(tokenizer.Byte) {
			return nil, fmt.Errorf("metadata %s[%d]: want 1 to 6, found %d", key, i, t)
		}
		pieces[i].Type = tokenizer.PieceType(t)
	}
	return pieces, nil
}

// column reads an array that must have one element per token; its length is checked before anything is decoded.
func column[T any](f *gguf.File, key string, n int, get func(gguf.Value) ([]T, error)) ([]T, error) {
	v, ok := f.Lookup(key)
	if !ok {
		return nil, fmt.Errorf("metadata %s: missing; convert the model again", key)
	}
	if v.Len() != n {
		return nil, fmt.Errorf("metadata %s: want one for each of %d tokens, found %s", key, n, v.Type())
	}
	return get(v)
}

// id reads a token's id, -1 when the file names none.
func (m *metadata) id(key string, size int) int32 {
	n := m.int(key, -1)
	if m.err == nil && (n < -1 || n >= size) {
		m.err = fmt.Errorf("metadata %s: want an id below %d, found %d", key, size, n)
	}
	if m.err != nil {
		return -1
	}
	return int32(n)
}

// display shows a metadata value to people.
func display(v gguf.Value) string {
	if s, err := v.Text(); err == nil {
		return s
	}
	if n, err := v.Int(); err == nil {
		return fmt.Sprint(n)
	}
	if x, err := v.Float(); err == nil {
		return fmt.Sprint(x)
	}
	if b, err := v.Bool(); err == nil {
		return fmt.Sprint(b)
	}
	return v.Type()
}
