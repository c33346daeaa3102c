// Package quality measures how far one model is from another: each tensor, and the next-token distributions on a text.
//
// It owns the measures (Numbers and Tensor say what each means) and the way through both models at once, a layer at a time, so that
// neither need be in memory. Sums are float64 in a fixed order: the same models and text give the same bits.
//
// It must not know what a text is, how files are made, or what a person is shown.
package quality

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

// Side is one of the two models.
type Side struct {
	*load.Reader
	Arithmetic gemma2.Options
	KV         gemma2.KVType
}

// Group is some sequences of tokens that get numbers of their own.
type Group struct {
	Name      string
	Sequences []Sequence
}

// Sequence is tokens, the first ones given, at least one: each of the others is a position, where the distribution of what can stand
// there is looked at.
type Sequence struct {
	Tokens []int32
	Given  int // less than 1 means 1
}

func (s *Sequence) given() int { return max(s.Given, 1) }

// Numbers compare the distributions p of model a and q of model b over all positions of a group. Logarithms are natural.
type Numbers struct {
	Positions int
	// KL divergence of a position: sum over the vocabulary of p(v) (ln p(v) - ln q(v)). The median is the mean of the two middle
	// ones of an even number; KL99 is the smallest that 99 % of the positions do not exceed.
	KL, KLMedian, KL99, KLMax float64
	// Top1 is the share of positions where both find the same token the most likely one; of equals the lowest id counts.
	Top1 float64
	// Perplexities: e to the mean of -ln p(t), t being the token that follows.
	PerplexityA, PerplexityB float64
}

// Result is what Compare finds.
type Result struct {
	Groups []Numbers // as the groups were given
	All    Numbers   // of all groups together
}

// Progress is told how many steps are done of all.
type Progress func(done, total int)

// ErrNotFinite says that a model gives logits that are no numbers.
var ErrNotFinite = errors.New("logits are not finite")

// Compare runs both models over all sequences. They must have the same vocabulary; progress may be nil.
func Compare(ctx context.Context, a, b Side, groups []Group, crew Crew, progress Progress) (*Result, error) {
	if va, vb := a.Config().VocabSize, b.Config().VocabSize; va != vb {
		return nil, fmt.Errorf("vocabulary: want the same size in both models, found %d and %d", va, vb)
	}
	c := &comparison{a: a, b: b, crew: crew, progress: progress}
	for _, g := range groups {
		for _, s := range g.Sequences {
			if len(s.Tokens) <= s.given() {
				return nil, fmt.Errorf("%s: want sequences of more than %d tokens, which are given, found %d", g.Name, s.given(), len(s.Tokens))
			}
			c.sequences = append(c.sequences, s)
			c.tokens = append(c.tokens, s.Tokens...)
		}
	}
	if len(c.tokens) == 0 {
		return nil, errors.New("want some text to compare on, found none")
	}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	r, at := &Result{}, 0
	var all []position
	for _, g := range groups {
		var list []position
		for _, s := range g.Sequences {
			list = append(list, c.positions[at+s.given()-1:at+len(s.Tokens)-1]...)
			at += len(s.Tokens)
		}
		r.Groups = append(r.Groups, numbers(list))
		all = append(all, list...)
	}
	r.All = numbers(all)
	return r, nil
}

// numbers sums up positions.
func numbers(list []position) Numbers {
	n := Numbers{Positions: len(list)}
	if len(list) == 0 {
		return n
	}
	var kl []float64
	lossA, lossB, agree := 0.0, 0.0, 0
	for i := range list {
		p := &list[i]
		d, la, lb := p.end()
		kl = append(kl, d)
		n.KL += d
		lossA += la
		lossB += lb
		if p.a.best == p.b.best {
			agree++
		}
	}
	slices.Sort(kl)
	count := float64(len(list))
	n.KL /= count
	n.KLMedian = (kl[(len(kl)-1)/2] + kl[len(kl)/2]) / 2
	n.KL99 = kl[(99*len(kl)+99)/100-1]
	n.KLMax = kl[len(kl)-1]
	n.Top1 = float64(agree) / count
	n.PerplexityA, n.PerplexityB = portable.Exp(lossA/count), portable.Exp(lossB/count)
	return n
}

// seen is what one model's logits x of a position come to, as far as they were seen.
type seen struct {
	top  float32 // the largest
	best int32   // whose it is
	sum  float64 // of e^(x-top)
	next float32 // the logit of the token that follows
}

// position is one position of both models. The cross term follows a's largest logit: sum of e^(xa-top) (xa-xb).
type position struct {
	a, b  seen
	cross float64
	next  int32 // the token that follows; -1: none, the position is not measured
}

// begin forgets everything.
func (p *position) begin(next int32) {
	none := seen{top: float32(math.Inf(-1)), best: -1}
	*p = position{a: none, b: none, next: next}
}

// add sees the logits of tokens first, first+1, ... of both models.
func (p *position) add(first int, xa, xb []float32) {
	before := p.a.top
	p.a.add(first, xa, p.next)
	p.b.add(first, xb, p.next)
	if p.a.top != before {
		p.cross *= portable.ExpNeg(float64(before) - float64(p.a.top))
	}
	top := float64(p.a.top)
	for i, x := range xa {
		e := portable.ExpNeg(float64(x) - top)
		p.a.sum += e
		p.cross += float64(e * (float64(x) - float64(xb[i])))
	}
	top = float64(p.b.top)
	for _, x := range xb {
		p.b.sum += portable.ExpNeg(float64(x) - top)
	}
}

// add finds the largest logit and corrects the sum for it.
func (s *seen) add(first int, x []float32, next int32) {
	before := s.top
	for i, v := range x {
		if v > s.top {
			s.top, s.best = v, int32(first+i)
		}
	}
	if s.top != before {
		s.sum *= portable.ExpNeg(float64(before) - float64(s.top))
	}
	if i := int(next) - first; i >= 0 && i < len(x) {
		s.next = x[i]
	}
}

// logSum is the logarithm of the sum of e^x over all logits.
func (s *seen) logSum() float64 { return float64(s.top) + portable.Log(s.sum) }

// end gives the divergence and the loss of both models. A divergence is never negative; rounding could make it so.
func (p *position) end() (kl, lossA, lossB float64) {
	la, lb := p.a.logSum(), p.b.logSum()
	kl = p.cross/p.a.sum - la + lb
	return max(kl, 0), la - float64(p.a.next), lb - float64(p.b.next)
}

// Tensor compares a matrix A of model a with B of model b, which stands for it.
type Tensor struct {
	Name         string
	KindA, KindB string
	BytesA       int64
	BytesB       int64
	// Error is the Frobenius norm of B-A over that of A; 0 if both are 0, 1 if A alone is.
	Error float64
	// Cosine is the sum of all products A·B over the product of both norms; 1 if both are 0.
	Cosine float64
}

// Worst orders tensors by their error, the largest first.
func Worst(list []Tensor) []Tensor {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(x, y Tensor) int { return cmp.Compare(y.Error, x.Error) })
	return list
}
