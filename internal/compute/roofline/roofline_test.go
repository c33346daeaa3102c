package roofline

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
)

// perRound is how many instructions, or sequences, a round of each multiplier has; SMMLA does the work of two.
var perRound = map[string]int32{"reference": 8, "avx2": 8, "avxvnni": 12, "avx512vnni": 12, "avx512bf16": 12, "neon": 12, "i8mm": 24}

// The operations that Int8 reports were really done: lane 0 has counted them.
func TestMultipliersDoWhatTheyReport(t *testing.T) {
	all := append([]multiplier{portable}, multipliers...)
	for _, m := range all {
		if m.set != "reference" && !m.runnable() {
			t.Logf("not run here: %s (no such CPU)", m.set)
			continue
		}
		for _, n := range []int{1, 2, 1000} {
			if got, want := m.run(n), 4*perRound[m.set]*int32(n); got != want {
				t.Errorf("%s: %d rounds give %d in lane 0, want %d", m.set, n, got, want)
			}
		}
		if sum := 4 * int64(perRound[m.set]) * maxRounds; sum > 1<<31-1 {
			t.Errorf("%s: %d rounds overflow int32", m.set, maxRounds)
		}
	}
}

func TestInt8CountsTheSetInUse(t *testing.T) {
	b := best()
	if b.set != kernel.Name() {
		t.Fatalf("multiplier of %s, want that of %s", b.set, kernel.Name())
	}
	n := int64(rounds)
	if b.set == "reference" {
		n = roundsGo
	}
	if got, want := Int8(), 2*b.lanes*4*int64(perRound[b.set])*n; got != want {
		t.Errorf("Int8() = %d, want %d", got, want)
	}
	if Instruction() == "" {
		t.Error("Instruction() is empty")
	}
}

func TestReadReadsAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 512, 1024, 512 * 33} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if got, want := Read(b), readGo(b); got != want {
			t.Errorf("Read of %d bytes = %#x, want %#x", n, got, want)
		}
		for range 20 { // one changed bit anywhere is seen
			if n == 0 {
				break
			}
			before := Read(b)
			b[r.IntN(n)] ^= 1 << r.IntN(8)
			if Read(b) == before {
				t.Errorf("Read of %d bytes: a bit was not read", n)
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Read of 100 bytes: want a panic")
		}
	}()
	Read(make([]byte, 100))
}

// Xor of words, by definition.
func TestReadGo(t *testing.T) {
	b := make([]byte, 64)
	b[0], b[8], b[31], b[63] = 1, 2, 4, 8
	if got := readGo(b); got != 1^2^4<<56^8<<56 {
		t.Errorf("readGo = %#x", got)
	}
}

func BenchmarkInt8(b *testing.B) {
	var ops int64
	start := time.Now()
	for b.Loop() {
		ops += Int8()
	}
	b.ReportMetric(float64(ops)/float64(time.Since(start).Nanoseconds()), "GOPS")
}

func BenchmarkRead(b *testing.B) {
	buf := make([]byte, 256<<20)
	for i := range buf {
		buf[i] = byte(i)
	}
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		Read(buf)
	}
}
