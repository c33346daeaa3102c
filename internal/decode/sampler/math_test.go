package sampler

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// The digest was computed on linux/amd64; other machines must find the same one.
func TestSameBitsOnEveryMachine(t *testing.T) {
	h := fnv.New64a()
	put := func(x float64) { _ = binary.Write(h, binary.LittleEndian, x) } // a hash takes all
	for i := range uint64(20000) {
		u := uniform(7, i)
		put(u)
		put(portable.ExpNeg(-708 * u * u * u))
		put(portable.Log(1 + float64(256000*u*u)))
	}
	put(LogSumExp(someLogits(5000)))
	if got, want := h.Sum64(), uint64(0x35a1b9c274807ece); got != want {
		t.Errorf("digest of exp, log and random numbers is %#x, want %#x", got, want)
	}
}

func TestLogSumExp(t *testing.T) {
	for _, c := range []struct {
		logits []float32
		want   float64
	}{
		{[]float32{3}, 3},
		{[]float32{-5, -5}, -5 + math.Ln2},
		{[]float32{1e38, -1e38, 0}, 1e38},
		{[]float32{0, 1, 2}, 2.4076059644443806},
	} {
		if got := LogSumExp(c.logits); math.Abs(got-c.want) > 1e-15*math.Abs(c.want)+1e-15 && float32(got) != float32(c.want) {
			t.Errorf("LogSumExp(%v) = %v, want %v", c.logits, got, c.want)
		}
	}
}
