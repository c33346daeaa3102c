//go:build amd64 && !noasm

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/emulate"
)

// levels are the sets with a CPU that has their instructions and as few others as the emulator knows: an instruction above
// the level of a set is an illegal one there. Tiger Lake has AVX-512 VNNI, and neither BF16, FP16 nor AVX-VNNI.
var levels = []struct {
	set *table
	cpu string
}{{&avx2, emulate.AVX2}, {&avxvnni, emulate.AVXVNNI}, {&avx512vnni, emulate.AVX512VNNI}, {&avx512bf16, emulate.AVX512BF16}}

// TestEmulatedCases writes calls of every function of every set for tools/asm-emulate, with what the reference makes of them.
// Each block touches an unmapped page. There are no NaNs: which one comes out is not defined.
func TestEmulatedCases(t *testing.T) {
	if !emulate.Enabled() {
		t.Skip("ASM_EMULATE_CASES names no file for the cases")
	}
	for i, l := range levels {
		e := emulation{t, l.set, l.cpu, rand.New(rand.NewPCG(7, uint64(i)))}
		e.mulW8C()
		e.bounded()
		for _, c := range []struct {
			name     string
			tile     int
			mul, ref func(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
		}{
			{"mulF32", 256, l.set.mulF32, mulF32Ref}, {"mulBF16", 128, l.set.mulBF16, mulBF16Ref}, {"mulF16", 128, l.set.mulF16, mulF16Ref},
		} {
			e.mulFloat(c.name, c.tile, c.mul, c.ref)
		}
		e.mulRounded()
		for _, n := range []int{0, 16, 32, 48, 80, 240} {
			e.quantize(n)
			e.vectors(n)
		}
		for _, d := range []int{16, 48, 64, 112, 256, 336} {
			for queries := range 8 {
				e.attention(d, queries+1)
			}
		}
	}
}

// emulation writes the cases of one set.
type emulation struct {
	*testing.T
	set *table
	cpu string
	r   *rand.Rand
}

func (e emulation) write(name string, f any, args []emulate.Arg, memory map[string]emulate.Block, expect map[string][]byte, ret ...emulate.Arg) {
	emulate.Write(e, emulate.Case{Name: e.set.name + "/" + name, Func: f, CPU: e.cpu, Args: args, Memory: memory, Expect: expect, Ret: ret})
}

// floats are usual, tiny, subnormal and zero numbers.
func (e emulation) floats(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(e.r.NormFloat64())
		switch e.r.IntN(8) {
		case 0:
			x[i] *= 0x1p-127
		case 1:
			x[i] *= 1000
		case 2:
			x[i] *= float32(e.r.IntN(2))
		}
	}
	return x
}

// bytes are n int8 within ±127, only its limits and 0 when extreme.
func (e emulation) bytes(n int, extreme bool) []byte {
	b := make([]byte, n)
	for i := range b {
		q := e.r.IntN(255) - 127
		if extreme {
			q = []int{-127, 127, 0}[e.r.IntN(3)]
		}
		b[i] = byte(int8(q))
	}
	return b
}

// strip are weights of any layout but int8: half-precision or longer numbers between 2^-5 and 2^3.
func (e emulation) strip(n int, name string) []byte {
	w := e.bytes(n, false)
	for i := range w {
		switch {
		case name == "mulF32" && i%4 == 3, name == "mulBF16" && i%2 == 1:
			w[i] = w[i]&0x80 | 0x3f + w[i]&1
		case name == "mulF16" && i%2 == 1:
			w[i] = w[i]&0x80 | 0x28 + w[i]&0x1f
		}
	}
	return w
}

func (e emulation) mulW8C() {
	for _, k4 := range []int{1, 2, 3, 4, 5, 7, 8, 33} {
		for tokens := 1; tokens <= MaxPanel; tokens++ {
			extreme, width, stride := (k4+tokens)%3 == 0, PanelWidth(tokens), 16*(1+tokens%3)
			w, a := e.bytes(64*k4, extreme), e.bytes(4*width*k4, extreme)
			ws, as := e.floats(16), e.floats(tokens)
			sum, biased := make([]int32, 16), slices.Clone(a)
			for i, q := range w {
				sum[i%64/4] += int32(int8(q))
			}
			for i := range biased {
				biased[i] += e.set.bias
			}
			var terms [16]int32
			copy(terms[:], sum)
			if e.set == &avx2 {
				for i, q := range w {
					terms[i%64/4] -= max(0, int32(int8(q))) // the row's sum less its positive weights
				}
				for r := range terms {
					terms[r] = -terms[r]
				}
				if tokens == 1 {
					e.write(fmt.Sprintf("rowTerms/k4=%d", k4), negativeSumsAVX2, []emulate.Arg{emulate.Ptr("terms"), emulate.Ptr("w"), emulate.Int(k4), emulate.Ptr("wSum")},
						map[string]emulate.Block{"terms": emulate.Out(make([]int32, 16)), "w": emulate.In(w), "wSum": emulate.In(sum)},
						map[string][]byte{"terms": emulate.Bytes(terms[:])})
				}
			}
			out := e.floats((tokens-1)*stride + 16)
			want := slices.Clone(out)
			mulW8CRef(&want[0], stride, &w[0], &ws[0], &sum[0], &a[0], width, k4, &as[0], tokens)
			e.write(fmt.Sprintf("mulW8C/k4=%d/tokens=%d", k4, tokens), e.set.mulW8C,
				[]emulate.Arg{emulate.Ptr("out"), emulate.Int(stride), emulate.Ptr("w"), emulate.Ptr("wScale"), emulate.Ptr("wSum"),
					emulate.Ptr("panel"), emulate.Int(width), emulate.Int(k4), emulate.Ptr("aScale"), emulate.Int(tokens)},
				map[string]emulate.Block{"out": emulate.Out(out), "w": emulate.In(w), "wScale": emulate.In(ws), "wSum": emulate.In(terms[:]),
					"panel": emulate.In(biased), "aScale": emulate.In(as)},
				map[string][]byte{"out": emulate.Bytes(want)})
		}
	}
}

func (e emulation) mulFloat(name string, tile int, mul, ref func(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)) {
	for _, k4 := range []int{1, 2, 9, 17} {
		for tokens := 1; tokens <= MaxPanel; tokens++ {
			if k4 == 17 && tokens%5 != 0 { // three blocks
				continue
			}
			width, stride := PanelWidth(tokens), 16*(1+tokens%3)
			w, panel := e.strip(tile*k4, name), e.floats(4*width*k4)
			out := e.floats((tokens-1)*stride + 16)
			want := slices.Clone(out)
			ref(&want[0], stride, &w[0], &panel[0], width, k4, tokens)
			e.write(fmt.Sprintf("%s/k4=%d/tokens=%d", name, k4, tokens), mul,
				[]emulate.Arg{emulate.Ptr("out"), emulate.Int(stride), emulate.Ptr("w"), emulate.Ptr("panel"), emulate.Int(width), emulate.Int(k4), emulate.Int(tokens)},
				map[string]emulate.Block{"out": emulate.Out(out), "w": emulate.In(w), "panel": emulate.In(panel)},
				map[string][]byte{"out": emulate.Bytes(want)})
		}
	}
}

func (e emulation) mulRounded() {
	for i, k4 := range []int{4, 8, 12} {
		for tokens := 1; tokens <= MaxPanel; tokens++ {
			width, stride := PanelWidth(tokens), 16*(1+tokens%3)
			w := bf16Strip(e.r.Uint64, k4, []int{0, 3}[(i+tokens)%2])
			panel, own := make([]float32, 4*width*k4), make([]float32, 4*width*k4)
			for c := range tokens {
				x := roundedActivations(e.r.Uint64, 4*k4, []int{0, 3}[(i+tokens/2)%2])
				packRounded(panel, width, c, x)
				e.set.packRounded(own, width, c, x)
			}
			out := e.floats((tokens-1)*stride + 16)
			want := slices.Clone(out)
			mulRoundedRef(&want[0], stride, &w[0], &panel[0], width, k4, tokens)
			e.write(fmt.Sprintf("mulRounded/k4=%d/tokens=%d", k4, tokens), e.set.mulRounded,
				[]emulate.Arg{emulate.Ptr("out"), emulate.Int(stride), emulate.Ptr("w"), emulate.Ptr("panel"), emulate.Int(width), emulate.Int(k4), emulate.Int(tokens)},
				map[string]emulate.Block{"out": emulate.Out(out), "w": emulate.In(w), "panel": emulate.In(own)},
				map[string][]byte{"out": emulate.Bytes(want)})
		}
	}
}

func (e emulation) quantize(n int) {
	x := e.floats(n)
	e.write(fmt.Sprintf("absMax/n=%d", n), e.set.absMax, []emulate.Arg{emulate.Slice("x", n)},
		map[string]emulate.Block{"x": emulate.In(x)}, nil, emulate.Uint32(absMaxRef(x)))
	scale := math.Float32frombits(absMaxRef(x)) / 127
	for _, width := range []int{1, 2, 16} {
		if n == 0 {
			break
		}
		for i := range x[:8] {
			x[i] = scale * (float32(e.r.IntN(255)) - 127.5) // ties
		}
		out := e.bytes((n/4-1)*4*width+4, false)
		want := slices.Clone(out)
		quantizeRef(&want[0], 4*width, x, scale)
		for i := range want {
			if i%(4*width) < 4 {
				want[i] += e.set.bias
			}
		}
		e.write(fmt.Sprintf("quantize/n=%d/width=%d", n, width), e.set.quantize,
			[]emulate.Arg{emulate.Ptr("dst"), emulate.Int(4 * width), emulate.Slice("x", n), emulate.Float32(scale)},
			map[string]emulate.Block{"dst": emulate.Out(out), "x": emulate.In(x)}, map[string][]byte{"dst": emulate.Bytes(want)})
	}
}

// vectors writes the functions from slices to slices or to a number.
func (e emulation) vectors(n int) {
	x, y, z := e.floats(n), e.floats(n), e.floats(n)
	in, slice := emulate.In[float32], func(name string) emulate.Arg { return emulate.Slice(name, n) }
	// change writes a case whose block x changes by ref, which gets a copy of it.
	change := func(name string, f any, args []emulate.Arg, memory map[string]emulate.Block, ref func(x []float32) []emulate.Arg) {
		want := slices.Clone(x)
		ret := ref(want)
		memory["x"] = emulate.Out(x)
		e.write(fmt.Sprintf("%s/n=%d", name, n), f, args, memory, map[string][]byte{"x": emulate.Bytes(want)}, ret...)
	}
	type blocks = map[string]emulate.Block
	type args = []emulate.Arg
	e.write(fmt.Sprintf("sumSquares/n=%d", n), e.set.sumSquares, args{slice("x")}, blocks{"x": in(x)}, nil, emulate.Float32(sumSquaresRef(x)))
	e.write(fmt.Sprintf("max/n=%d", n), e.set.max, args{slice("x")}, blocks{"x": in(x)}, nil, emulate.Float32(maxRef(x)))
	change("scaleMul", e.set.scaleMul, args{slice("x"), slice("y"), slice("z"), emulate.Float32(0.7)}, blocks{"y": in(y), "z": in(z)},
		func(x []float32) args { scaleMulRef(x, y, z, 0.7); return nil })
	change("add", e.set.add, args{slice("x"), slice("y")}, blocks{"y": in(y)}, func(x []float32) args { addRef(x, y); return nil })
	for _, limit := range []float32{0, 30} {
		change(fmt.Sprintf("softcap/limit=%v", limit), e.set.softcap, args{slice("x"), emulate.Float32(0.3), emulate.Float32(limit)}, blocks{},
			func(x []float32) args { softcapsRef(x, 0.3, limit); return nil })
	}
	change("geluMul", e.set.geluMul, args{slice("x"), slice("y"), slice("z")}, blocks{"y": in(y), "z": in(z)},
		func(x []float32) args { geluMulRef(x, y, z); return nil })
	change("geluMul/in-place", e.set.geluMul, args{slice("x"), slice("x"), slice("z")}, blocks{"z": in(z)},
		func(x []float32) args { geluMulRef(x, x, z); return nil })
	m := max(0, maxRef(x))
	change("expSum", e.set.expSum, args{slice("x"), emulate.Float32(m)}, blocks{},
		func(x []float32) args { return args{emulate.Float32(expSumRef(x, m))} })
	e.write(fmt.Sprintf("expSum64/n=%d", n), e.set.expSum64, args{slice("x"), emulate.Float32(m)}, blocks{"x": in(x)}, nil, emulate.Float64(expSum64Ref(x, m)))
	lo, hi := slices.Clone(x), slices.Clone(y)
	rotateRef(lo, hi, z, y)
	e.write(fmt.Sprintf("rotate/n=%d", n), e.set.rotate, args{slice("lo"), slice("hi"), slice("cos"), slice("sin")},
		blocks{"lo": emulate.Out(x), "hi": emulate.Out(y), "cos": in(z), "sin": in(y)},
		map[string][]byte{"lo": emulate.Bytes(lo), "hi": emulate.Bytes(hi)})
}
