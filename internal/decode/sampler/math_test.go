package sampler

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"testing"
)

// sampled is n, or a twentieth of it in a slow leg: emulated, or with the race detector.
func sampled(n int) int {
	if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" {
		return n / 20
	}
	return n
}

// exactExp is e^x to 200 bits: the series for x/2^20, squared twenty times.
func exactExp(x float64) *big.Float {
	num := func(v float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(v) }
	r := new(big.Float).SetMantExp(num(x), -20)
	sum, term := num(1), num(1)
	for k := 1.0; k < 40; k++ {
		term.Mul(term, r)
		term.Quo(term, num(k))
		sum.Add(sum, term)
	}
	for range 20 {
		sum.Mul(sum, sum)
	}
	return sum
}

// ulps is the error of got in units of want's last place.
func ulps(got float64, want *big.Float) float64 {
	w, _ := want.Float64()
	d, _ := new(big.Float).Sub(new(big.Float).SetFloat64(got), want).Float64()
	return math.Abs(d) / (math.Nextafter(w, math.Inf(1)) - w)
}

func TestExpNegIsAccurate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	worst, at := 0.0, 0.0
	for i := range sampled(20000) {
		x := -r.Float64() * []float64{1e-3, 0.5, 5, 60, 708}[i%5]
		if e := ulps(expNeg(x), exactExp(x)); e > worst {
			worst, at = e, x
		}
	}
	t.Logf("worst error %.3f units in the last place, at %v", worst, at)
	if worst >= 1.5 {
		t.Errorf("expNeg(%v) is off by %.3f units in the last place, want less than 1.5", at, worst)
	}
	for x, want := range map[float64]float64{0: 1, -708.5: 0, -1e300: 0, math.Inf(-1): 0} {
		if got := expNeg(x); got != want {
			t.Errorf("expNeg(%v) = %v, want %v", x, got, want)
		}
	}
}

// The error of a logarithm y of x is that of e^y: e^y/x - 1, up to its square.
func TestLogIsAccurate(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for i := range sampled(5000) {
		x := 1 + r.Float64()*[]float64{1e-6, 0.5, 300_000}[i%3]
		if i%2 == 0 {
			x = 1 / x
		}
		y := log(x)
		exact := new(big.Float).SetPrec(200).SetFloat64(x)
		ratio := new(big.Float).Quo(exactExp(y), exact)
		d, _ := ratio.Sub(ratio, big.NewFloat(1)).Float64()
		if limit := max(0x1p-53, 2*(math.Nextafter(math.Abs(y), math.Inf(1))-math.Abs(y))); math.Abs(d) > limit {
			t.Fatalf("log(%v) = %v is off by %v, want at most %v", x, y, d, limit)
		}
	}
	if got := log(1); got != 0 {
		t.Errorf("log(1) = %v, want 0", got)
	}
}

func TestRootsOf2(t *testing.T) {
	root := big.NewFloat(2).SetPrec(300)
	for range 6 {
		root.Sqrt(root)
	}
	power := big.NewFloat(1).SetPrec(300)
	for j, got := range rootOf2 {
		if want, _ := power.Float64(); got != want {
			t.Errorf("rootOf2[%d] = %x, want %x", j, got, want)
		}
		power.Mul(power, root)
	}
}

// The digest was computed on linux/amd64; other machines must find the same one.
func TestSameBitsOnEveryMachine(t *testing.T) {
	h := fnv.New64a()
	put := func(x float64) { _ = binary.Write(h, binary.LittleEndian, x) } // a hash takes all
	for i := range uint64(20000) {
		u := uniform(7, i)
		put(u)
		put(expNeg(-708 * u * u * u))
		put(log(1 + float64(256000*u*u)))
	}
	put(LogSumExp(someLogits(5000)))
	if got, want := h.Sum64(), uint64(0xac22412543f14f45); got != want {
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
