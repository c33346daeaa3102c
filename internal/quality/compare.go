package quality

import (
	"context"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Crew runs the loops.
type Crew = *parallel.Crew

// comparison is one call of Compare.
type comparison struct {
	a, b      Side
	crew      Crew
	progress  Progress
	sequences []Sequence
	tokens    []int32
	positions []position // of all tokens
	walks     [2]*gemma2.Walk
	done      int
}

func (c *comparison) sides() []Side { return []Side{c.a, c.b} }

// headParts is the number of parts that the head comes in.
func headParts(vocab int) int { return (vocab + gemma2.HeadRows - 1) / gemma2.HeadRows }

// step counts one of both models' layers and of the head's parts.
func (c *comparison) step() {
	c.done++
	if c.progress != nil {
		c.progress(c.done, c.a.Config().NumLayers+c.b.Config().NumLayers+headParts(c.a.Config().VocabSize))
	}
}

func (c *comparison) run(ctx context.Context) error {
	c.positions = make([]position, len(c.tokens))
	var lengths []int
	at := 0
	for _, s := range c.sequences {
		n := len(s.Tokens)
		for i := range n {
			next := int32(-1)
			if i+1 >= s.given() && i+1 < n {
				next = s.Tokens[i+1]
			}
			c.positions[at+i].begin(next)
		}
		at += n
		lengths = append(lengths, n)
	}
	for i, s := range c.sides() {
		walk, err := gemma2.NewWalk(s.Config(), lengths, c.crew, s.KV, s.Arithmetic)
		if err != nil {
			return err
		}
		defer walk.Close()
		c.walks[i] = walk
		if err := c.layers(ctx, walk, s); err != nil {
			return err
		}
	}
	return c.head(ctx)
}

// layers takes a walk through all layers of its model.
func (c *comparison) layers(ctx context.Context, walk *gemma2.Walk, s Side) error {
	row := make([]float32, s.Config().HiddenSize)
	for t, id := range c.tokens {
		if id < 0 || int(id) >= s.Config().VocabSize {
			return fmt.Errorf("token %d: want an id below %d, found %d", t, s.Config().VocabSize, id)
		}
		if err := s.Embed(int(id), row); err != nil {
			return err
		}
		walk.Embed(t, row)
	}
	for l := range s.Config().NumLayers {
		layer, free, err := s.Layer(l)
		if err != nil {
			return err
		}
		err = walk.Layer(ctx, l, layer)
		free()
		if err != nil {
			return err
		}
		c.step()
	}
	norm, err := s.FinalNorm()
	if err == nil {
		walk.Norm(norm)
	}
	return err
}

// head computes both models' logits, for some tokens of the vocabulary at a time.
func (c *comparison) head(ctx context.Context) error {
	vocab := c.a.Config().VocabSize
	for first := 0; first < vocab; first += gemma2.HeadRows {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := c.headPart(ctx, first, min(gemma2.HeadRows, vocab-first)); err != nil {
			return err
		}
		c.step()
	}
	for i := range c.positions {
		for _, s := range []*seen{&c.positions[i].a, &c.positions[i].b} {
			if x := s.sum; !(x > 0) || x-x != 0 { // NaN and infinities reach the sum
				return ErrNotFinite
			}
		}
	}
	return nil
}

func (c *comparison) headPart(ctx context.Context, first, n int) error {
	a, freeA, err := c.a.Head(first, n)
	if err != nil {
		return err
	}
	defer freeA()
	b, freeB, err := c.b.Head(first, n)
	if err != nil {
		return err
	}
	defer freeB()
	for at := 0; at < len(c.tokens); at += gemma2.MaxRows {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		count := min(gemma2.MaxRows, len(c.tokens)-at)
		xa, err := c.walks[0].Head(at, count, a)
		if err != nil {
			return err
		}
		xb, err := c.walks[1].Head(at, count, b)
		if err != nil {
			return err
		}
		err = c.crew.Run(count, 1, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				if p := &c.positions[at+i]; p.next >= 0 {
					p.add(first, xa(i), xb(i))
				} else {
					p.a.sum, p.b.sum = 1, 1
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Memory bounds the bytes that Compare allocates, apart from what the system maps of files: the largest layer of a model or some rows
// of both heads, activations of all tokens, and scratch for one pass.
func Memory(a, b Side, tokens int) (n int64) {
	layers, heads := int64(0), int64(0)
	for _, s := range []Side{a, b} {
		c := s.Config()
		layer := map[string]int64{} // by the beginning of the name: blk.0.
		for _, m := range s.Matrices() {
			arranged := s.Arranged(m.Name)
			if block, _, ok := strings.Cut(strings.TrimPrefix(m.Name, "blk."), "."); ok && strings.HasPrefix(m.Name, "blk.") {
				layer[block] += arranged
				layers = max(layers, layer[block])
			} else {
				heads += arranged / int64(m.Shape[0]) * int64(min(gemma2.HeadRows, m.Shape[0]))
			}
		}
		n += int64(tokens) * 4 * int64(c.HiddenSize+2*2*c.NumKVHeads*c.HeadDim)
		n += 4 * gemma2.MaxRows * int64(8*c.HiddenSize+6*c.IntermediateSize+4*c.NumHeads*c.HeadDim+gemma2.HeadRows)
	}
	return n + max(layers, heads)
}
