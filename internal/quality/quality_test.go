package quality

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// The one-pass sums, in parts of any size, are the textbook's: softmax, logarithm, sum, in two passes over everything.
func TestPositionsAreTheFormula(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + r.IntN(400)
		xa, xb := make([]float32, n), make([]float32, n)
		for i := range xa {
			xa[i] = float32(r.NormFloat64() * 8)
			xb[i] = xa[i] + float32(r.NormFloat64()*math.Pow(10, -4*r.Float64()))
		}
		next := r.IntN(n)
		var p position
		p.begin(int32(next))
		for first := 0; first < n; {
			k := min(1+r.IntN(100), n-first)
			p.add(first, xa[first:first+k], xb[first:first+k])
			first += k
		}
		kl, lossA, lossB := p.end()
		la, lb := logSum(xa), logSum(xb)
		want := 0.0
		for i := range xa {
			lp, lq := float64(xa[i])-la, float64(xb[i])-lb
			want += math.Exp(lp) * (lp - lq)
		}
		if math.Abs(kl-want) > 1e-12*(1+want) || math.Abs(lossA-la+float64(xa[next])) > 1e-12 || math.Abs(lossB-lb+float64(xb[next])) > 1e-12 {
			t.Fatalf("%d logits: found KL %g, losses %g and %g, want %g, %g and %g", n, kl, lossA, lossB, want, la-float64(xa[next]), lb-float64(xb[next]))
		}
		if best := int32(slices.Index(xa, slices.Max(xa))); p.a.best != best {
			t.Fatalf("most likely token: want %d, found %d", best, p.a.best)
		}
	}
}

func logSum(x []float32) float64 {
	top, sum := float64(slices.Max(x)), 0.0
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	return top + math.Log(sum)
}

func TestNumbersByHand(t *testing.T) {
	at := func(xa, xb []float32, next int32) (p position) {
		p.begin(next)
		p.add(0, xa, xb)
		return p
	}
	ln := func(x float64) float32 { return float32(math.Log(x)) }
	// p = (1/4, 3/4), q = (3/4, 1/4): KL = ln(3)/2. Twice the same: 0.
	n := numbers([]position{
		at([]float32{ln(0.25), ln(0.75)}, []float32{ln(0.75), ln(0.25)}, 1),
		at([]float32{1, 1}, []float32{1, 1}, 0),
	})
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: want %v, found %v", what, want, got)
		}
	}
	kl := math.Log(3) / 2
	near("KL", n.KL, kl/2)
	near("median", n.KLMedian, kl/2)
	near("99 %", n.KL99, kl)
	near("largest", n.KLMax, kl)
	near("top-1", n.Top1, 0.5)
	near("perplexity of a", n.PerplexityA, 1/math.Sqrt(0.75*0.5))
	near("perplexity of b", n.PerplexityB, 1/math.Sqrt(0.25*0.5))
}

func TestTensorByHand(t *testing.T) {
	row := func(a, b []float32) (s rowSums) { s.add(a, b); return s }
	var x Tensor
	x.finish([]rowSums{row([]float32{3, 0}, []float32{3, 1}), row([]float32{0, 4}, []float32{2, 4})})
	if want := math.Sqrt(5) / 5; math.Abs(x.Error-want) > 1e-15 || math.Abs(x.Cosine-25/(5*math.Sqrt(30))) > 1e-15 {
		t.Errorf("want error %v and cosine %v, found %v and %v", want, 25/(5*math.Sqrt(30)), x.Error, x.Cosine)
	}
	x.finish([]rowSums{{}})
	if x.Error != 0 || x.Cosine != 1 {
		t.Errorf("zeros: want error 0 and cosine 1, found %v and %v", x.Error, x.Cosine)
	}
}

func tinySide(t *testing.T, crew Crew, seed uint64, kind string, exact bool) Side {
	t.Helper()
	ck := synthetic(t, seed, kind, crew)
	r, err := load.NewReader(ck, nil, crew)
	if err != nil {
		t.Fatal(err)
	}
	return Side{Reader: r, Arithmetic: gemma2.Options{Exact: exact}}
}

func synthetic(t *testing.T, seed uint64, kind string, crew Crew) *checkpoint.Checkpoint {
	spec, err := quant.ParseSpec(kind)
	if err != nil {
		t.Fatal(err)
	}
	ck, blocks, err := load.Synthetic("tiny", spec, seed, crew)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = ck.Close()
		for _, b := range blocks {
			_ = b.Free()
		}
	})
	return ck
}

func sequence(n int, seed uint64) (ids []int32) {
	r := rand.New(rand.NewPCG(seed, 3))
	for range n {
		ids = append(ids, int32(r.IntN(8192)))
	}
	return ids
}

// Equal models have no distance, others have, and the number of workers changes no bit.
func TestCompare(t *testing.T) {
	sample.Skip(t)
	groups := []Group{{"one", []Sequence{{sequence(30, 1), 0}, {sequence(5, 2), 0}}}, {"two", []Sequence{{sequence(25, 3), 6}}}}
	var last *Result
	for _, workers := range []int{1, 3} {
		crew := parallel.New(workers)
		defer crew.Close()
		steps := 0
		same, err := Compare(context.Background(), tinySide(t, crew, 1, "w8a8", true), tinySide(t, crew, 1, "f32", false), groups, crew, func(done, total int) {
			steps++
			if done != steps || total != 4+4+2 {
				t.Errorf("progress: want step %d of 10, found %d of %d", steps, done, total)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if steps != 10 || same.All.KL > 1e-9 || same.All.Top1 != 1 || same.All.Positions != 29+4+19 || same.Groups[1].Positions != 19 {
			t.Errorf("the same weights in two kinds: want no distance, found %+v after %d steps", same, steps)
		}
		r, err := Compare(context.Background(), tinySide(t, crew, 1, "f32", false), tinySide(t, crew, 1, "w4", false), groups, crew, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !(r.All.KL > 1e-5) || !(r.All.KL99 >= r.All.KLMedian) || !(r.All.KLMax >= r.All.KL99) {
			t.Errorf("4 bits: want a distance, found %+v", r.All)
		}
		if last != nil && (last.All != r.All || !slices.Equal(last.Groups, r.Groups)) {
			t.Errorf("%d workers: want the bits of one, found %+v instead of %+v", workers, r, last)
		}
		last = r
		list, err := Tensors(context.Background(), tinySide(t, crew, 1, "f32", false), tinySide(t, crew, 1, "w4", false), crew, nil)
		if err != nil || len(list) != 1+4*7 {
			t.Fatalf("want 29 tensors, found %d, %v", len(list), err)
		}
		for _, x := range list {
			if !(x.Error > 0.01) || !(x.Error < 0.3) || !(x.Cosine > 0.95) || !(x.Cosine < 1) || x.BytesA <= x.BytesB {
				t.Errorf("4 bits: want an error of some percent and fewer bytes, found %+v", x)
			}
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	crew := parallel.New(1)
	defer crew.Close()
	a := tinySide(t, crew, 1, "f32", false)
	ctx, cancel := context.WithCancel(context.Background())
	for what, groups := range map[string][]Group{
		"no text": nil, "one token": {{"x", []Sequence{{[]int32{1}, 0}}}}, "all given": {{"x", []Sequence{{[]int32{1, 2}, 2}}}}, "an id outside": {{"x", []Sequence{{[]int32{1, 8192}, 0}}}},
	} {
		if _, err := Compare(ctx, a, a, groups, crew, nil); err == nil {
			t.Errorf("%s: want an error, found none", what)
		}
	}
	cancel()
	if _, err := Compare(ctx, a, a, []Group{{"x", []Sequence{{[]int32{1, 2}, 0}}}}, crew, nil); err == nil {
		t.Error("a cancelled context: want an error, found none")
	}
	if _, err := Tensors(ctx, a, a, crew, nil); err == nil {
		t.Error("tensors, a cancelled context: want an error, found none")
	}
}
