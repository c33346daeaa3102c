// Package arch describes the shape of a Gemma 2 model: its hyperparameters, their defaults and their limits.
//
// It is the one vocabulary that file readers (which fill a Config) and the model (which runs one) share.
// It must not know how a config file is written, nor how a layer is computed.
package arch

import (
	"fmt"
	"math"
)

// Config holds the hyperparameters of one Gemma 2 model (arXiv:2408.00118, table 1; names as in Hugging Face's config.json).
type Config struct {
	VocabSize        int // rows of the embedding
	HiddenSize       int // width of the residual stream
	IntermediateSize int // width of gate and of up, each
	NumLayers        int
	NumHeads         int // query heads
	NumKVHeads       int // key/value heads; divides NumHeads
	HeadDim          int // even; independent of HiddenSize/NumHeads

	QueryPreAttnScalar float64 // queries are scaled by QueryPreAttnScalar^-0.5
	AttnSoftcap        float32 // cap of attention scores; 0 is off
	FinalSoftcap       float32 // cap of logits; 0 is off
	SlidingWindow      int     // a local layer sees this many positions, its own included
	Global             []bool  // per layer: true attends to everything, false to SlidingWindow
	RopeTheta          float64
	RMSNormEps         float32
	MaxPositions       int // context length the model was trained for
	TieEmbeddings      bool
}

// Defaults returns what transformers' Gemma2Config fills in for keys that a config.json leaves out.
// Sizes that every real file states (VocabSize, NumLayers ...) have the 2B's values there; Global is left nil.
func Defaults() Config {
	return Config{
		VocabSize: 256000, HiddenSize: 2304, IntermediateSize: 9216, NumLayers: 26, NumHeads: 8, NumKVHeads: 4, HeadDim: 256,
		QueryPreAttnScalar: 256, AttnSoftcap: 50, FinalSoftcap: 30, SlidingWindow: 4096,
		RopeTheta: 10000, RMSNormEps: 1e-6, MaxPositions: 8192, TieEmbeddings: true,
	}
}

// AlternateLayers sets Global to the order of the released models: layer 0 local, layer 1 global, and so on.
func (c *Config) AlternateLayers() {
	c.Global = make([]bool, c.NumLayers)
	for l := range c.Global {
		c.Global[l] = l%2 == 1
	}
}

// Limits of what a file may ask for. They lie well above any Gemma 2 and keep every size below 2^53 bytes.
const (
	maxWidth  = 1 << 16 // the kernels' int32 sums are proven up to this K
	maxVocab  = 1 << 21
	maxLayers = 1 << 10
	maxHeads  = 1 << 10
)

// Validate reports the first value that no Gemma 2 model can have: what was expected and what was found.
func (c *Config) Validate() error {
	for _, f := range []struct {
		name       string
		v, lo, max int
	}{
		{"vocab_size", c.VocabSize, 1, maxVocab},
		{"hidden_size", c.HiddenSize, 1, maxWidth},
		{"intermediate_size", c.IntermediateSize, 1, maxWidth},
		{"num_hidden_layers", c.NumLayers, 1, maxLayers},
		{"num_attention_heads", c.NumHeads, 1, maxHeads},
		{"num_key_value_heads", c.NumKVHeads, 1, maxHeads},
		{"head_dim", c.HeadDim, 2, 1 << 12},
		{"num_attention_heads * head_dim", c.NumHeads * c.HeadDim, 1, maxWidth},
		{"sliding_window", c.SlidingWindow, 1, 1 << 30},
		{"max_position_embeddings", c.MaxPositions, 1, 1 << 24},
	} {
		if f.v < f.lo || f.v > f.max {
			return fmt.Errorf("%s: want %d to %d, found %d", f.name, f.lo, f.max, f.v)
		}
	}
	switch {
	case c.NumHeads%c.NumKVHeads != 0:
		return fmt.Errorf("num_key_value_heads: want a divisor of num_attention_heads (%d), found %d", c.NumHeads, c.NumKVHeads)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim: want an even number, found %d", c.HeadDim)
	case len(c.Global) != c.NumLayers:
		return fmt.Errorf("layer_types: want one for each of %d layers, found %d", c.NumLayers, len(c.Global))
	case !positive(c.QueryPreAttnScalar):
		return fmt.Errorf("query_pre_attn_scalar: want a positive number, found %v", c.QueryPreAttnScalar)
	case !positive(c.RopeTheta) || c.RopeTheta < 1:
		return fmt.Errorf("rope_theta: want a number of at least 1, found %v", c.RopeTheta)
	case !positive(float64(c.RMSNormEps)):
		return fmt.Errorf("rms_norm_eps: want a positive number, found %v", c.RMSNormEps)
	case c.AttnSoftcap != 0 && !positive(float64(c.AttnSoftcap)):
		return fmt.Errorf("attn_logit_softcapping: want a positive number or null, found %v", c.AttnSoftcap)
	case c.FinalSoftcap != 0 && !positive(float64(c.FinalSoftcap)):
		return fmt.Errorf("final_logit_softcapping: want a positive number or null, found %v", c.FinalSoftcap)
	}
	return nil
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
