package systemgemma

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// Score is how likely a model finds given tokens.
type Score struct {
	IDs      []int32   // the whole sequence
	Logprobs []float64 // natural logarithms, for the last len(Logprobs) of IDs
	Greedy   []bool    // whether that token is the most likely one
	Sum      float64   // of Logprobs
}

// Score computes the log probability of every token of ids after the first from tokens; at least the first token is given,
// not scored. (arXiv:2101.00027 calls this loglikelihood.) It is that of the model with adapters, if there are any.
func (m *Model) Score(ctx context.Context, ids []int32, from int, adapters ...AdapterUse) (*Score, error) {
	set, err := m.adapterSet(adapters)
	if err != nil {
		return nil, err
	}
	s := &Score{IDs: ids}
	err = m.engine.Score(ctx, ids, from, set, func(i int, logits []float32) error {
		lp := float64(logits[ids[i]]) - sampler.LogSumExp(logits)
		s.Logprobs = append(s.Logprobs, lp)
		s.Greedy = append(s.Greedy, argmax(logits) == ids[i])
		s.Sum += lp
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ScoreText computes the log probability of continuation after <bos> and prompt, as lm-evaluation-harness pairs them: white
// space at the end of prompt counts as the beginning of continuation, both are encoded together as mere text, and as many
// tokens as prompt alone has are given. adapters are as in Score.
func (m *Model) ScoreText(ctx context.Context, prompt, continuation string, adapters ...AdapterUse) (*Score, error) {
	head := strings.TrimRightFunc(prompt, unicode.IsSpace)
	given, _, err := m.promptIDs(Prompt{Text: head})
	if err != nil {
		return nil, err
	}
	whole, _, err := m.promptIDs(Prompt{Text: prompt + continuation})
	if err != nil {
		return nil, err
	}
	if len(whole) <= len(given) {
		return nil, fmt.Errorf("continuation %q: want at least one token, found none", continuation)
	}
	return m.Score(ctx, whole, max(1, len(given)), adapters...)
}

// Logits calls out with the next-token logits, after the final soft cap, of every position of ids. logits is valid during
// the call only. adapters are as in Score.
func (m *Model) Logits(ctx context.Context, ids []int32, out func(position int, logits []float32) error, adapters ...AdapterUse) error {
	set, err := m.adapterSet(adapters)
	if err != nil {
		return err
	}
	return m.engine.Logits(ctx, ids, set, out)
}

func argmax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}
