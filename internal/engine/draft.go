package engine

import (
	"context"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// DraftModel guesses with a smaller model of the same vocabulary, greedily (speculative decoding, arXiv:2211.17192, with the sampled
// token of the large model as the judge). It is used by one request.
type DraftModel struct {
	model *gemma2.Model
	cache *gemma2.Cache
	have  []int32 // tokens that the cache holds
	limit int     // positions that the model was trained for
}

// NewDraftModel returns a drafter for one request. model computes one pass at a time: the engine's, between its own.
func NewDraftModel(model *gemma2.Model, pool *gemma2.Pool) *DraftModel {
	return &DraftModel{model: model, cache: pool.NewCache(), limit: model.Config().MaxPositions}
}

// Draft implements Drafter.
func (d *DraftModel) Draft(dst, ids []int32, n int) []int32 {
	n = min(n, d.limit-len(ids))
	if n <= 0 {
		return dst
	}
	keep := min(common(d.have, ids), len(ids)-1)
	if !d.cache.Truncate(keep) {
		d.cache.Free()
		keep = 0
	}
	d.have = d.have[:keep]
	next := ids[keep:]
	for range n {
		id, ok := d.feed(next)
		if !ok {
			break // a guess less, or none: nothing else depends on it
		}
		dst = append(dst, id)
		next = dst[len(dst)-1:]
	}
	return dst
}

// feed computes tokens and gives the most likely one to follow.
func (d *DraftModel) feed(tokens []int32) (best int32, ok bool) {
	for len(tokens) > 0 {
		c := gemma2.Chunk{Cache: d.cache, Tokens: tokens[:min(gemma2.MaxRows, len(tokens))]}
		tokens = tokens[len(c.Tokens):]
		if len(tokens) == 0 {
			c.Logits = 1
		}
		err := d.model.Forward(context.Background(), []gemma2.Chunk{c}, func(_, _ int, logits []float32) error {
			for i, x := range logits {
				if x > logits[best] {
					best = int32(i)
				}
			}
			return nil
		})
		if err != nil {
			return 0, false
		}
		d.have = append(d.have, c.Tokens...)
	}
	return best, true
}

// Close frees the drafter's memory.
func (d *DraftModel) Close() { d.cache.Free() }
