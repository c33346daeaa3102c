package bench

import (
	"math"
	"runtime/metrics"
)

// Pauses remembers how long the garbage collector has stopped the program so far.
type Pauses struct{ counts []uint64 }

func readPauses() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindFloat64Histogram {
		return &metrics.Float64Histogram{}
	}
	return s[0].Value.Float64Histogram()
}

// StartPauses begins to count.
func StartPauses() Pauses { return Pauses{readPauses().Counts} }

// Longest is the longest pause since then, in seconds, rounded up as the runtime's histogram is; 0 where there was none.
func (p Pauses) Longest() float64 {
	h := readPauses()
	for i := len(h.Counts) - 1; i >= 0; i-- {
		if i < len(p.counts) && h.Counts[i] > p.counts[i] {
			if end := h.Buckets[i+1]; !math.IsInf(end, 1) {
				return end
			}
			return h.Buckets[i]
		}
	}
	return 0
}
