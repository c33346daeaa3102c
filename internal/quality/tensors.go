package quality

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
)

// Tensors compares all matrices of a with those of b. A head that only one of them has apart is compared with the other's
// embedding.
func Tensors(ctx context.Context, a, b Side, crew Crew, progress Progress) ([]Tensor, error) {
	names := a.Matrices()
	if more := b.Matrices(); len(more) > len(names) {
		names = more
	}
	var list []Tensor
	for i, m := range names {
		t := Tensor{Name: m.Name}
		if err := t.compare(ctx, a, b, m.Shape[0], m.Shape[1], crew); err != nil {
			return nil, err
		}
		list = append(list, t)
		if progress != nil {
			progress(i+1, len(names))
		}
	}
	return list, nil
}

// rowSums are those of one row: of (b-a)^2, a^2, b^2 and a·b.
type rowSums struct{ diff, a, b, ab float64 }

func (t *Tensor) compare(ctx context.Context, a, b Side, rows, cols int, crew Crew) error {
	const grain = 64
	sums := make([]rowSums, rows)
	type pair struct{ a, b []float32 }
	work := make([]pair, crew.Workers())
	for i := range work {
		work[i] = pair{make([]float32, cols), make([]float32, cols)}
	}
	var failed atomic.Pointer[error]
	err := crew.Run(rows, grain, func(worker, lo, hi int) {
		w := &work[worker]
		for r := lo; r < hi && failed.Load() == nil; r++ {
			err := context.Cause(ctx)
			if err == nil {
				err = a.Row(t.Name, r, w.a)
			}
			if err == nil {
				err = b.Row(t.Name, r, w.b)
			}
			if err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
			sums[r].add(w.a, w.b)
		}
	})
	if e := failed.Load(); e != nil && err == nil {
		err = *e
	}
	a.Release(t.Name)
	b.Release(t.Name)
	if err != nil {
		return fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	t.KindA, t.BytesA = a.Stored(t.Name)
	t.KindB, t.BytesB = b.Stored(t.Name)
	t.finish(sums)
	return nil
}

func (s *rowSums) add(a, b []float32) {
	for k, x := range a {
		x, y := float64(x), float64(b[k])
		d := y - x
		s.diff += float64(d * d)
		s.a += float64(x * x)
		s.b += float64(y * y)
		s.ab += float64(x * y)
	}
}

// finish adds the rows up in their order.
func (t *Tensor) finish(rows []rowSums) {
	var s rowSums
	for _, r := range rows {
		s.diff += r.diff
		s.a += r.a
		s.b += r.b
		s.ab += r.ab
	}
	switch {
	case s.a == 0 && s.b == 0:
		t.Error, t.Cosine = 0, 1
	case s.a == 0:
		t.Error, t.Cosine = 1, 0
	case s.b == 0:
		t.Error, t.Cosine = 1, 0
	default:
		t.Error, t.Cosine = math.Sqrt(s.diff/s.a), s.ab/(math.Sqrt(s.a)*math.Sqrt(s.b))
	}
}
