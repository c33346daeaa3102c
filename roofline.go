package systemgemma

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/compute/roofline"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Roofline is what this machine can do at best with a number of threads, measured. A prefill of int8 weights can't be faster
// than Int8Peak divided by the operations of its matrix products, nor decoding than ReadBandwidth divided by the bytes of all
// weights and of the keys and values that a token sees, where all memory is as fast as that of the buffer, at all times: Model.Bench
// reads the weights themselves meanwhile and compares with that. For prefill of float weights no roof is measured.
type Roofline struct {
	Threads       int
	ReadBandwidth Spread // GB/s: reading memory in order, from a buffer far larger than the last-level cache
	Int8Peak      Spread // GOPS: the instruction that the kernels multiply with, in registers; multiply and add are two operations
	Instruction   string // that instruction
	BufferBytes   int64
}

// rooflinePasses is how often each limit is measured, after what warms up; rooflinePass is how long a pass takes at least: in a few
// milliseconds the system may not yet have given each thread a CPU of its own.
const (
	rooflinePasses = 7
	rooflinePass   = 60 * time.Millisecond
)

// MeasureRoofline takes about a second and a half.
func MeasureRoofline(ctx context.Context, threads int) (Roofline, error) {
	if threads < 1 {
		return Roofline{}, fmt.Errorf("threads: want at least 1, found %d", threads)
	}
	crew := parallel.New(threads)
	defer crew.Close()
	r := Roofline{Threads: threads, Instruction: roofline.Instruction(), BufferBytes: readBuffer()}
	block, err := offheap.Alloc(int(r.BufferBytes))
	if err != nil {
		return r, fmt.Errorf("measure read bandwidth: %w", err)
	}
	defer block.Free()
	b := block.Bytes()
	const part = 512 << 10
	parts := len(b) / part
	err = crew.Run(parts, 1, func(_, lo, hi int) { // memory that was never written may be one page of zeros
		for i := lo * part; i < hi*part; i += 64 {
			b[i] = 1
		}
	})
	if err != nil {
		return r, err
	}
	r.ReadBandwidth, err = repeatedly(ctx, func(times int) (float64, error) {
		err := crew.Run(times*parts, 4, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				at := i % parts * part
				roofline.Read(b[at : at+part])
			}
		})
		return float64(times) * float64(parts*part), err
	})
	if err != nil {
		return r, err
	}
	r.Int8Peak, err = repeatedly(ctx, func(times int) (float64, error) {
		ops := make([]int64, 16*threads*times)
		err := crew.Run(len(ops), 1, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				ops[i] = roofline.Int8()
			}
		})
		var sum int64
		for _, x := range ops {
			sum += x
		}
		return float64(sum), err
	})
	return r, err
}

// repeatedly measures how much work is done in a nanosecond. work does so many times what is worth a few milliseconds.
func repeatedly(ctx context.Context, work func(times int) (amount float64, err error)) (Spread, error) {
	var rates []float64
	for times := 1; len(rates) < rooflinePasses; {
		if err := context.Cause(ctx); err != nil {
			return Spread{}, err
		}
		start := time.Now()
		amount, err := work(times)
		if err != nil {
			return Spread{}, err
		}
		if took := time.Since(start); took < rooflinePass && len(rates) == 0 {
			times *= 2
		} else {
			rates = append(rates, amount/float64(took.Nanoseconds()))
		}
	}
	return SpreadOf(rates), nil
}

// readBuffer is four times the largest cache where the system tells its size, within 256 MiB and 1 GiB, and no more than an eighth
// of the available memory.
func readBuffer() int64 {
	n := min(max(4*cacheBytes(), 256<<20), 1<<30)
	if m, _ := ThisMachine(); m.MemoryAvailable > 0 { // a wrong SYSTEMGEMMA_KERNEL has been reported when the model was opened
		n = min(n, m.MemoryAvailable/8)
	}
	const unit = 2 << 20
	return max(n/unit*unit, unit)
}

// cost fills in what a token of a result costs, and the median in per cent of the roof: the best peak that was measured, or what reading
// the weights gave beside each part of a decode.
func (b *bench) cost(r *BenchResult) {
	tokens, steps := float64(r.Tokens), 1.0 // a step reads all weights
	if r.Test == BenchDecode {
		steps = tokens
		r.Bytes = b.kvBytes(float64(r.Depth) + (tokens+1)/2)
	} else {
		steps = math.Ceil(tokens / gemma2.MaxRows)
		r.Bytes = b.kvBytes(float64(r.Depth)+tokens/2) * steps / tokens // as few as a step's last token sees
	}
	r.Bytes += float64(b.m.weightBytes()) * steps / tokens
	if b.m.weights.Embed != b.m.weights.Head {
		r.Bytes -= float64(matrixBytes(b.m.weights.Embed)) * steps / tokens // one row a token is read
	}
	integer := b.m.preset != PresetExact
	all := b.m.matrices()
	for i, x := range all {
		integer = integer && isInteger(x.Layout)
		rows := 2 * float64(x.Rows) * float64(x.Cols)
		if i == len(all)-1 && r.Test == BenchPrefill {
			rows /= tokens // the head, for the last token
		}
		r.Ops += rows
	}
	switch {
	case b.roof == nil:
	case r.Test == BenchDecode:
		r.Roofline = 100 * r.Bytes * SpreadOf(b.beside).Median
	case integer:
		r.Roofline = 100 * r.TokS.Median * r.Ops / (b.roof.Int8Peak.Max * 1e9)
	}
}

func isInteger(l quant.Layout) bool { return l != quant.F32 && l != quant.F16 && l != quant.BF16 }

// kvBytes is what a token reads that sees n positions, its own included.
func (b *bench) kvBytes(n float64) float64 {
	c := &b.m.weights.Config
	row := map[gemma2.KVType]int{gemma2.KVF32: 4 * c.HeadDim, gemma2.KVF16: 2 * c.HeadDim, gemma2.KVI8: c.HeadDim + 4}[b.m.kv]
	sum := 0.0
	for _, global := range c.Global {
		seen := n
		if !global {
			seen = min(n, float64(c.SlidingWindow))
		}
		sum += seen * 2 * float64(c.NumKVHeads*row)
	}
	return sum
}
