package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// bitsNear draws any float32 whose exponent is within e of 1.
func bitsNear(r *rand.Rand, e int) float32 {
	exp := uint32(127 - e + r.IntN(2*e+1))
	return math.Float32frombits(r.Uint32()&0x807fffff | exp<<23)
}

// fma32 rounds x*y+z once: compared with exact arithmetic, on values chosen so that double rounding would show.
func TestFMARoundsOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	check := func(x, y, z float32) {
		t.Helper()
		exact := new(big.Float).SetPrec(2000).Mul(big.NewFloat(float64(x)), big.NewFloat(float64(y)))
		exact.Add(exact, big.NewFloat(float64(z)))
		want, _ := exact.Float32()
		if got := fma32(x, y, z); got != want {
			t.Fatalf("fma32(%x, %x, %x) = %x, want %x", x, y, z, got, want)
		}
		if got := fma32Odd(x, y, z); got != want {
			t.Fatalf("fma32Odd(%x, %x, %x) = %x, want %x", x, y, z, got, want)
		}
	}
	for range 200000 {
		check(bitsNear(r, 20), bitsNear(r, 20), bitsNear(r, 40))
	}
	for range 50000 { // results among the subnormals and near overflow
		check(bitsNear(r, 70), bitsNear(r, 70), bitsNear(r, 126))
	}
	for range 100000 { // z a float32 midpoint away from the product: double rounding in float64 would go wrong here
		x := math.Float32frombits(0x3f800000 | r.Uint32()&0x7ff000)
		y := float32(1 + float64(1+r.IntN(7))*0x1p-23)
		check(x, y, float32(0x1p24)*float32(1+r.IntN(3)))
		check(x*0x1p-60, y, float32(0x1p-24))
	}
	if fma32(0x1p-12, 0x1p-12, 1) != 1 || fma32(0x1.000002p-12, 0x1p-12, 1) != 0x1.000002p0 {
		t.Error("fma32: a tie must go to even, and what is beyond the tie up")
	}
}

// ulps is |got-want| in units in the last place of want.
func ulps(got float32, want float64) float64 {
	_, e := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(e-24, -149))
}

func TestExpAndTanhStayWithinTheirError(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var worstExp, worstTanh float64
	for range 300000 {
		x := -float32(r.Float64() * 87)
		worstExp = max(worstExp, ulps(expRef(x), math.Exp(float64(x))))
		for _, y := range []float32{x / 6, float32(math.Ldexp(float64(x), -r.IntN(30)))} {
			worstTanh = max(worstTanh, ulps(tanhRef(y), math.Tanh(float64(y))))
		}
	}
	t.Logf("worst error: exp %.2f ulp, tanh %.2f ulp", worstExp, worstTanh)
	if worstExp > 1.5 || worstTanh > 3 {
		t.Errorf("worst error: exp %.2f ulp, tanh %.2f ulp; documented: 1.5 and 3", worstExp, worstTanh)
	}
}

func TestMathAtTheEdges(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		name      string
		got, want float32
	}{
		{"exp(0)", expRef(0), 1}, {"exp(-88)", expRef(-88), 0}, {"exp(-inf)", expRef(-inf), 0},
		{"tanh(inf)", tanhRef(inf), 1}, {"tanh(-inf)", tanhRef(-inf), -1}, {"tanh(100)", tanhRef(100), 1}, {"tanh(0)", tanhRef(0), 0},
		{"softcap off", softcapRef(3, 0.5, 0), 1.5}, {"softcap(4400)", softcapRef(4400, 1, 50), 50}, {"softcap(1e30)", softcapRef(1e30, 1, 50), 50},
		{"gelu(0)", geluRef(0), 0}, {"gelu(30)", geluRef(30), 30}, {"gelu(-30)", geluRef(-30), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
	for name, v := range map[string]float32{"exp": expRef(nan), "tanh": tanhRef(nan), "gelu": geluRef(nan), "softcap": softcapRef(nan, 1, 50)} {
		if v == v {
			t.Errorf("%s(NaN) = %v, want NaN", name, v)
		}
	}
	if math.Signbit(float64(tanhRef(float32(math.Copysign(0, -1))))) != true {
		t.Error("tanh(-0): want -0")
	}
	worst := 0.0
	for x := -12.0; x < 12; x += 1e-4 {
		g := float64(float32(x))
		want := g / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(g+0.044715*g*g*g)))
		worst = max(worst, math.Abs(float64(geluRef(float32(x)))-want)/(math.Abs(g)+1e-30))
	}
	if worst > 2.4e-7 { // of |x|: far below zero 1+tanh cancels, and 4 units in the last place of 1 are left
		t.Errorf("gelu: worst error %.2g |x|", worst)
	}
}
