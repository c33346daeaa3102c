package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/arch"
)

const (
	embedding = "token_embd.weight"
	head      = "output.weight"
)

// spec is one parameter of a model: what files call it and how large it is.
type spec struct {
	name  string // in GGUF
	hf    string // in a Hugging Face checkpoint
	shape []int  // [rows, columns] of a matrix, [values] of a norm
}

// specs lists every parameter of a model but its own head, in the order in which Write stores them.
func specs(c *arch.Config) []spec {
	hidden, ffn := c.HiddenSize, c.IntermediateSize
	q, kv := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	list := []spec{{embedding, "model.embed_tokens.weight", []int{c.VocabSize, hidden}}}
	layer := []spec{
		{"attn_norm", "input_layernorm", []int{hidden}},
		{"attn_q", "self_attn.q_proj", []int{q, hidden}},
		{"attn_k", "self_attn.k_proj", []int{kv, hidden}},
		{"attn_v", "self_attn.v_proj", []int{kv, hidden}},
		{"attn_output", "self_attn.o_proj", []int{hidden, q}},
		{"post_attention_norm", "post_attention_layernorm", []int{hidden}},
		{"ffn_norm", "pre_feedforward_layernorm", []int{hidden}},
		{"ffn_gate", "mlp.gate_proj", []int{ffn, hidden}},
		{"ffn_up", "mlp.up_proj", []int{ffn, hidden}},
		{"ffn_down", "mlp.down_proj", []int{hidden, ffn}},
		{"post_ffw_norm", "post_feedforward_layernorm", []int{hidden}},
	}
	for l := range c.NumLayers {
		for _, s := range layer {
			list = append(list, spec{fmt.Sprintf("blk.%d.%s.weight", l, s.name), fmt.Sprintf("model.layers.%d.%s.weight", l, s.hf), s.shape})
		}
	}
	return append(list, spec{"output_norm.weight", "model.norm.weight", []int{hidden}})
}

// headSpec is the output head of a model that does not share its embedding.
func headSpec(c *arch.Config) spec {
	return spec{head, "lm_head.weight", []int{c.VocabSize, c.HiddenSize}}
}

// Parameter names one parameter of a model and gives its size.
type Parameter struct {
	Name  string // in GGUF, and in a Checkpoint
	HF    string // in a Hugging Face checkpoint
	Shape []int  // [rows, columns] of a matrix, [values] of a norm
}

// Parameters lists every parameter that a model of config c can have, a head of its own last.
func Parameters(c *arch.Config) []Parameter {
	var list []Parameter
	for _, s := range append(specs(c), headSpec(c)) {
		list = append(list, Parameter{s.name, s.hf, s.shape})
	}
	return list
}

// ErrUnknownTensor says that a source has a tensor that the model of its config lacks.
var ErrUnknownTensor = errors.New("no part of a Gemma 2 model")

// bind takes from source, whose keys are names of spec by nameOf, the parameters that the config asks for, and refuses what
// is missing, of another shape, or unknown: a tensor that nobody uses means that the model is not what its config says.
//
// A head in the file is used whatever the config says about ties, as the reference does. One with the embedding's bytes is
// dropped. Config.TieEmbeddings then says what holds: true if there is no head of its own.
func (c *Checkpoint) bind(source map[string]Tensor, nameOf func(spec) string) error {
	list := specs(&c.Config)
	last := headSpec(&c.Config)
	if _, ok := source[nameOf(last)]; ok {
		list = append(list, last)
	} else if !c.Config.TieEmbeddings {
		return fmt.Errorf("tensor %s: missing, though tie_word_embeddings is false", nameOf(last))
	}
	c.Tensors = make(map[string]Tensor, len(list))
	for _, s := range list {
		name := nameOf(s)
		t, ok := source[name]
		if !ok {
			return fmt.Errorf("tensor %s: missing; get the checkpoint again", name)
		}
		if !slices.Equal(t.Shape, s.shape) {
			return fmt.Errorf("tensor %s: want %s (from its config), found %s; convert the checkpoint again", name, dims(s.shape), dims(t.Shape))
		}
		delete(source, name)
		t.Name = s.name
		c.Tensors[s.name] = t
	}
	if err := c.refuseUnknown(source); err != nil {
		return err
	}
	e, h := c.Tensors[embedding], c.Tensors[head]
	if c.Config.TieEmbeddings = h.Data == nil; !c.Config.TieEmbeddings && e.Type == h.Type && slices.Equal(e.Scales, h.Scales) && c.sameData(&e, &h) {
		delete(c.Tensors, head)
		c.Config.TieEmbeddings = true
		c.Notes = append(c.Notes, nameOf(last)+": left out, its bytes are the embedding's")
	}
	return nil
}

// sameData compares two tensors piece by piece, so that of mapped files only a piece is in memory at once.
func (c *Checkpoint) sameData(a, b *Tensor) bool {
	const piece = 4 << 20
	if len(a.Data) != len(b.Data) {
		return false
	}
	same := true
	for n := 0; same && n < len(a.Data); {
		end := min(n+piece, len(a.Data))
		same = bytes.Equal(a.Data[n:end], b.Data[n:end])
		n = end
		c.ReleaseTo(a, n)
		c.ReleaseTo(b, n)
	}
	return same
}

// refuseUnknown allows only tensors that can't change a result: RoPE frequencies, which follow from the config.
func (c *Checkpoint) refuseUnknown(rest map[string]Tensor) error {
	names := make([]string, 0, len(rest))
	for name := range rest {
		names = append(names, name)
	}
	slices.Sort(names)
	var errs []error
	for _, name := range names {
		if strings.HasPrefix(name, "model.layers.") && strings.HasSuffix(name, ".rotary_emb.inv_freq") {
			c.Notes = append(c.Notes, name+": left out, it follows from rope_theta")
			continue
		}
		if c.ignoreUnknown {
			c.Notes = append(c.Notes, fmt.Sprintf("tensor %.100s: ignored, it is no part of a Gemma 2 model", name))
			continue
		}
		if errs = append(errs, fmt.Errorf("tensor %.100s: %w with %d layers", name, ErrUnknownTensor, c.Config.NumLayers)); len(errs) == 3 {
			break // one would do; three show a pattern
		}
	}
	return errors.Join(errs...)
}

func dims(shape []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "x"), "[]")
}
