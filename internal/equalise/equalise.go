// Package equalise moves large columns of activations into the weights that multiply them, where that changes nothing but rounding:
// in front of Q, K and V, and of gate and up, a norm's weights are divided by a power of two for each column, and the matrices'
// columns multiplied by it (the idea of SmoothQuant, arXiv:2211.10438). Powers of two round nothing themselves.
//
// One scale per token then leaves more levels to the other columns, which is what int8 activations lack when few columns are large.
// It must not know what a text is, nor how files are made.
package equalise

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/portable"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

// site is a norm and the matrices that multiply what it gives.
type site struct {
	norm     string
	matrices []string
}

var sites = [2]site{
	{"attn_norm", []string{"attn_q", "attn_k", "attn_v"}},
	{"ffn_norm", []string{"ffn_gate", "ffn_up"}},
}

// strengths are the exponents alpha that are tried: column k is divided by max|x_k|^alpha / max|W_k|^(1-alpha). 0 stands for
// leaving everything as it is.
var strengths = []float64{0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}

// Scales are the factors of the columns, by the GGUF names of norms and matrices. Those that stay as they are have none.
type Scales struct {
	columns map[string][]float32 // of matrices
	norms   map[string][]float32 // the same, by the norm in front
	plusOne bool                 // the source stores norms as w+1
	inner   load.Change          // what happens before; nil: nothing
}

// Find looks at what the model r multiplies when it reads the sequences, and chooses the factors of each norm's columns that make the
// noise of rounding to int8 smallest, as far as the strengths go. plusOne says how the source of r stores norms; inner is r's change.
func Find(ctx context.Context, r *load.Reader, inner load.Change, plusOne bool, sequences [][]int32, crew *parallel.Crew, progress func(done, total int)) (*Scales, error) {
	var lengths []int
	var tokens []int32
	for _, s := range sequences {
		lengths, tokens = append(lengths, len(s)), append(tokens, s...)
	}
	if len(tokens) == 0 {
		return nil, errors.New("want some text, found none")
	}
	c := r.Config()
	walk, err := gemma2.NewWalk(c, lengths, crew, gemma2.KVF32, gemma2.Options{Exact: true})
	if err != nil {
		return nil, err
	}
	defer walk.Close()
	row := make([]float32, c.HiddenSize)
	for t, id := range tokens {
		if id < 0 || int(id) >= c.VocabSize {
			return nil, fmt.Errorf("token %d: want an id below %d, found %d", t, c.VocabSize, id)
		}
		if err := r.Embed(int(id), row); err != nil {
			return nil, err
		}
		walk.Embed(t, row)
	}
	out := &Scales{columns: map[string][]float32{}, norms: map[string][]float32{}, plusOne: plusOne, inner: inner}
	var seen [2][]float32 // inputs of both sites, [tokens][hidden]
	for i := range seen {
		seen[i] = make([]float32, len(tokens)*c.HiddenSize)
	}
	walk.Watch(func(ffn bool, t int, x []float32) {
		i := 0
		if ffn {
			i = 1
		}
		copy(seen[i][t*c.HiddenSize:], x)
	})
	for l := range c.NumLayers {
		layer, free, err := r.Layer(l)
		if err != nil {
			return nil, err
		}
		if err = walk.Layer(ctx, l, layer); err == nil {
			err = out.layer(l, layer, seen, c.HiddenSize, crew)
		}
		free()
		if err != nil {
			return nil, err
		}
		if progress != nil {
			progress(l+1, c.NumLayers)
		}
	}
	return out, nil
}

// layer chooses the factors of a layer's two norms.
func (s *Scales) layer(l int, layer *gemma2.Layer, seen [2][]float32, hidden int, crew *parallel.Crew) error {
	for i, group := range [2][]*quant.Matrix{{layer.Q, layer.K, layer.V}, {layer.Gate, layer.Up}} {
		factors, err := choose(seen[i], hidden, group, crew)
		if err != nil {
			return err
		}
		if factors == nil {
			continue
		}
		name := func(part string) string { return fmt.Sprintf("blk.%d.%s.weight", l, part) }
		s.norms[name(sites[i].norm)] = factors
		for _, m := range sites[i].matrices {
			s.columns[name(m)] = factors
		}
	}
	return nil
}

// choose tries all strengths and returns the factors of the best one; nil: none.
func choose(x []float32, hidden int, group []*quant.Matrix, crew *parallel.Crew) ([]float32, error) {
	a := newActivations(x, hidden)
	w, err := largestWeights(group, hidden, crew)
	if err != nil {
		return nil, err
	}
	var best []float32
	least := math.Inf(1)
	for _, alpha := range strengths {
		factors := a.factors(w, alpha)
		noise, err := a.noise(factors, group, crew)
		if err != nil {
			return nil, err
		}
		if noise < least {
			least, best = noise, factors
		}
	}
	if !slices.ContainsFunc(best, func(f float32) bool { return f != 1 }) {
		return nil, nil
	}
	return best, nil
}

// activations are inputs of matrices.
type activations struct {
	x       []float32 // [tokens][hidden]
	hidden  int
	largest []float32 // magnitude by column
	square  []float64 // mean square by column
}

func newActivations(x []float32, hidden int) *activations {
	a := &activations{x, hidden, make([]float32, hidden), make([]float64, hidden)}
	for i, v := range x {
		k := i % hidden
		a.largest[k] = max(a.largest[k], v, -v)
		a.square[k] += float64(float64(v) * float64(v))
	}
	for k := range a.square {
		a.square[k] /= float64(len(x) / hidden)
	}
	return a
}

// maxExponent bounds the factors: a norm that a source stores as w is computed as 1+w, which loses some bits of a small one.
const maxExponent = 8

func log2(x float32) float64 { return portable.Log(float64(x)) / math.Ln2 }

// factors are powers of two near max|x|^alpha / max|W|^(1-alpha), over their geometric mean: 1 for columns that are zero.
func (a *activations) factors(w []float32, alpha float64) []float32 {
	f := slices.Repeat([]float32{1}, a.hidden)
	if alpha == 0 {
		return f
	}
	exponents, mean, n := make([]float64, a.hidden), 0.0, 0
	for k := range f {
		if a.largest[k] > 0 && w[k] > 0 {
			exponents[k] = float64(alpha*log2(a.largest[k])) - float64((1-alpha)*log2(w[k]))
			mean += exponents[k]
			n++
		}
	}
	if n == 0 {
		return f
	}
	mean /= float64(n)
	for k := range f {
		if a.largest[k] > 0 && w[k] > 0 {
			f[k] = float32(math.Ldexp(1, int(max(-maxExponent, min(maxExponent, math.Round(exponents[k]-mean))))))
		}
	}
	return f
}

// noise estimates the mean square error of all outputs for one token: rounding a number with step s adds s*s/12, activations have one
// step per token, weights one per row.
func (a *activations) noise(f []float32, group []*quant.Matrix, crew *parallel.Crew) (float64, error) {
	step, tokens := 0.0, len(a.x)/a.hidden
	for t := range tokens {
		top := float32(0)
		for k, v := range a.x[t*a.hidden : (t+1)*a.hidden] {
			v /= f[k]
			top = max(top, v, -v)
		}
		s := float64(top) / 127
		step += float64(s * s)
	}
	step /= float64(tokens)
	power := 0.0 // of an input
	for k, v := range a.square {
		power += v / float64(float64(f[k])*float64(f[k]))
	}
	noise := 0.0
	for _, m := range group {
		rows := make([]float64, m.Rows)
		err := crew.Run(m.Rows, 64, func(_, lo, hi int) {
			w := make([]float32, m.Cols)
			for r := lo; r < hi; r++ {
				m.Row(w, r)
				top, sum := float32(0), 0.0
				for k, v := range w {
					v *= f[k]
					top = max(top, v, -v)
					sum += float64(float64(v) * float64(v))
				}
				s := float64(top) / 127
				rows[r] = (float64(step*sum) + float64(float64(s*s)*power)) / 12
			}
		})
		if err != nil {
			return 0, err
		}
		for _, v := range rows {
			noise += v
		}
	}
	return noise, nil
}

// largestWeights is the largest magnitude in each column of all matrices.
func largestWeights(group []*quant.Matrix, hidden int, crew *parallel.Crew) ([]float32, error) {
	top := make([]float32, hidden)
	for _, m := range group {
		parts := make([][]float32, (m.Rows+63)/64)
		err := crew.Run(m.Rows, 64, func(_, lo, hi int) {
			part, w := make([]float32, hidden), make([]float32, hidden)
			for r := lo; r < hi; r++ {
				m.Row(w, r)
				for k, v := range w {
					part[k] = max(part[k], v, -v)
				}
			}
			parts[lo/64] = part
		})
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			for k, v := range p {
				top[k] = max(top[k], v)
			}
		}
	}
	return top, nil
}

// ID is all that the factors say.
func (s *Scales) ID() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s.norms)) {
		fmt.Fprintf(h, "%s %v\n", name, s.norms[name]) // a hash never returns an error
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Norms is the number of norms that were changed.
func (s *Scales) Norms() int { return len(s.norms) }

// Touches says whether rows of a tensor change.
func (s *Scales) Touches(name string) bool {
	return s.norms[name] != nil || s.columns[name] != nil || s.inner != nil && s.inner.Touches(name)
}

// Unties is what the change before says.
func (s *Scales) Unties() bool { return s.inner != nil && s.inner.Unties() }

// Row makes the change before, and multiplies the columns of a matrix, or divides a norm.
func (s *Scales) Row(name string, r int, row []float32) error {
	if s.inner != nil && s.inner.Touches(name) {
		if err := s.inner.Row(name, r, row); err != nil {
			return err
		}
	}
	if f := s.columns[name]; f != nil {
		for k := range row {
			row[k] *= f[k]
		}
	}
	if f := s.norms[name]; f != nil {
		for k := range row {
			if s.plusOne {
				row[k] /= f[k]
			} else {
				row[k] = float32(float32(1+row[k])/f[k]) - 1
			}
		}
	}
	return nil
}
