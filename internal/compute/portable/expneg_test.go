package portable

import (
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
func exactUlps(got float64, want *big.Float) float64 {
	w, _ := want.Float64()
	d, _ := new(big.Float).Sub(new(big.Float).SetFloat64(got), want).Float64()
	return math.Abs(d) / (math.Nextafter(w, math.Inf(1)) - w)
}

func TestExpNegIsAccurate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	worst, at := 0.0, 0.0
	for i := range sampled(20000) {
		x := -r.Float64() * []float64{1e-3, 0.5, 5, 60, 708}[i%5]
		if e := exactUlps(ExpNeg(x), exactExp(x)); e > worst {
			worst, at = e, x
		}
	}
	t.Logf("worst error %.3f units in the last place, at %v", worst, at)
	if worst >= 1.5 {
		t.Errorf("ExpNeg(%v) is off by %.3f units in the last place, want less than 1.5", at, worst)
	}
	for x, want := range map[float64]float64{0: 1, -708.5: 0, -1e300: 0, math.Inf(-1): 0} {
		if got := ExpNeg(x); got != want {
			t.Errorf("ExpNeg(%v) = %v, want %v", x, got, want)
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
		y := Log(x)
		exact := new(big.Float).SetPrec(200).SetFloat64(x)
		ratio := new(big.Float).Quo(exactExp(y), exact)
		d, _ := ratio.Sub(ratio, big.NewFloat(1)).Float64()
		if limit := max(0x1p-53, 2*(math.Nextafter(math.Abs(y), math.Inf(1))-math.Abs(y))); math.Abs(d) > limit {
			t.Fatalf("Log(%v) = %v is off by %v, want at most %v", x, y, d, limit)
		}
	}
	if got := Log(1); got != 0 {
		t.Errorf("Log(1) = %v, want 0", got)
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
