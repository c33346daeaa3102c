package systemgemma

import (
	"context"
	"fmt"
	"math"
)

// Pooling says how the hidden states of a text's tokens become one vector.
type Pooling string

const (
	// PoolMean is the mean of all tokens' states.
	PoolMean Pooling = "mean"
	// PoolLast is the last token's state, which alone has seen the whole text.
	PoolLast Pooling = "last"
)

// EmbedOptions say how Embed makes vectors. The zero value, and nil, mean normalised means.
type EmbedOptions struct {
	Pooling Pooling // empty: PoolMean
	// Raw leaves vectors as they are; else each is divided by its Euclidean norm.
	Raw bool
}

// Embed gives a vector of Config.HiddenSize numbers for a text or ids, from the hidden states after the final norm. Gemma 2 was not
// trained to embed: texts with like vectors are often, not always, alike.
func (m *Model) Embed(ctx context.Context, p Prompt, o *EmbedOptions) (vector []float32, tokens int, err error) {
	if o == nil {
		o = &EmbedOptions{}
	}
	if o.Pooling != "" && o.Pooling != PoolMean && o.Pooling != PoolLast {
		return nil, 0, fmt.Errorf("pooling: want %s or %s, found %q", PoolMean, PoolLast, o.Pooling)
	}
	ids, _, err := m.promptIDs(p)
	if err != nil {
		return nil, 0, err
	}
	sum := make([]float64, m.weights.Config.HiddenSize)
	err = m.HiddenStates(ctx, ids, func(position int, state []float32) error {
		if o.Pooling == PoolLast {
			clear(sum)
		}
		for i, x := range state {
			sum[i] += float64(x)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	scale := 1 / float64(len(ids))
	if o.Pooling == PoolLast {
		scale = 1
	}
	if !o.Raw {
		scale = 1 / norm(sum)
	}
	vector = make([]float32, len(sum))
	for i, x := range sum {
		vector[i] = float32(x * scale)
	}
	return vector, len(ids), nil
}

// norm is the Euclidean norm of x, and 1 if that is 0.
func norm(x []float64) float64 {
	n := 0.0
	for _, v := range x {
		n += float64(v * v)
	}
	if n == 0 {
		return 1
	}
	return math.Sqrt(n)
}

// HiddenStates calls out with the hidden state after the final norm of every position of ids, in order. state has
// Config.HiddenSize numbers and is valid during the call only. out must not block. adapters are as in Score.
func (m *Model) HiddenStates(ctx context.Context, ids []int32, out func(position int, state []float32) error, adapters ...AdapterUse) error {
	set, err := m.adapterSet(adapters)
	if err != nil {
		return err
	}
	return m.engine.States(ctx, ids, set, out)
}
