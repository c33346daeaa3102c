package watermark

import (
	"math"
	"slices"
)

// Evidence is what the tokens of a text say about whether it was marked. Without a mark both means are near 0.5; marked text
// of some hundred tokens lies clearly above (Expected says where at most).
type Evidence struct {
	// G are the bits of each position from NgramLen-1 on, one for each key.
	G [][]uint8
	// Counts says which of these positions count: those before an end token, with a context not seen just before.
	Counts []bool
	// Mean is the mean of the bits that count; WeightedMean gives the first steps of the tournament, which say most, weights
	// from 10 down to 1. Both are 0 when no position counts.
	Mean, WeightedMean float64
	// Positions is the number of positions that count.
	Positions int
}

// Detect looks for the mark in the tokens of an answer; those of the prompt are no part of it. It ends at the first of the end
// tokens, if there are any. With few tokens (below 200) nothing can be said.
func Detect(c Config, ids, end []int32) (*Evidence, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	table := newTable(c.TableSize, c.TableSeed)
	seen := make([]uint64, c.ContextHistory)
	before := c.NgramLen - 1
	e := &Evidence{}
	ended := slices.ContainsFunc(ids[:min(before, len(ids))], func(id int32) bool { return slices.Contains(end, id) })
	for i := 0; i+before < len(ids); i++ {
		context, id := ids[i:i+before], ids[i+before]
		h := hashAll(1, context)
		ended = ended || slices.Contains(end, id)
		e.Counts = append(e.Counts, !ended && !slices.Contains(seen, h))
		seen[i%len(seen)] = h
		g := make([]uint8, len(c.Keys))
		for k, key := range c.Keys {
			g[k] = bit(table, hash(hash(h, int64(id)), key))
		}
		e.G = append(e.G, g)
	}
	e.score(len(c.Keys))
	return e, nil
}

// score fills in the means.
func (e *Evidence) score(depth int) {
	weights, total := make([]float64, depth), 0.0
	for k := range weights {
		weights[k] = 10
		if depth > 1 {
			weights[k] -= 9 * float64(k) / float64(depth-1)
		}
		total += weights[k]
	}
	var sum, weighted float64
	for i, g := range e.G {
		if !e.Counts[i] {
			continue
		}
		e.Positions++
		for k, bit := range g {
			sum += float64(bit)
			weighted += float64(bit) * weights[k] / total
		}
	}
	if e.Positions > 0 {
		e.Mean = sum / float64(e.Positions*depth)
		e.WeightedMean = weighted / float64(e.Positions)
	}
}

// Deviations is how far Mean is above 0.5, in standard deviations of as many fair coins as there are bits that count. Few
// unmarked texts reach 2 (1 in 44), hardly any 4 (1 in 30,000).
func (e *Evidence) Deviations() float64 {
	if e.Positions == 0 {
		return 0
	}
	bits := float64(e.Positions * len(e.G[0]))
	return (e.Mean - 0.5) * 2 * math.Sqrt(bits)
}

// Expected is the mean of the bits of marked text when all of a vocabulary's tokens are equally likely: the most there can be
// (appendix of the paper: two competitors in each match).
func Expected(vocabulary int) float64 { return 0.5 + 0.25*(1-1/float64(vocabulary)) }
