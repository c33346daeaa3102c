package quant_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// Weights in groups as the reference formulas have them: integers and scales bit for bit, outputs of activations rounded
// per token within 1e-6 of the sum of magnitudes (the reference adds in float64, the product in float32).
func TestGoldenGroups(t *testing.T) {
	f, err := safetensors.Parse(golden.Read(t, filepath.Join(golden.Dir(t, "quant"), "rtn.safetensors")))
	if err != nil {
		t.Fatal(err)
	}
	tensor := func(name string) safetensors.Tensor {
		x, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("reference tensor %s: missing", name)
		}
		return x
	}
	floats := func(name string) []float32 {
		x := tensor(name)
		v := make([]float32, len(x.Data)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(x.Data[4*i:]))
		}
		return v
	}
	weight, input, inScale := floats("group.weight"), floats("group.input"), floats("group.input_scale")
	n, k, tokens := tensor("group.weight").Shape[0], tensor("group.weight").Shape[1], tensor("group.input").Shape[0]
	cases := 0
	for _, size := range []int{32, 64, 128} {
		for layout, bits := range map[quant.Layout]int{quant.W8G: 8, quant.W4G: 4} {
			for _, kind := range []string{"sym", "asym"} {
				p := fmt.Sprintf("group.g%d.w%d.%s.", size, bits, kind)
				m, block, err := quant.NewGrouped(layout, quant.Grouping{Size: size, Mins: kind == "asym", PerToken: true}, n, k)
				if err != nil {
					t.Fatal(err)
				}
				defer block.Free()
				for r := range n {
					m.PackRow(r, weight[r*k:(r+1)*k])
				}
				scale, q, value := floats(p+"scale"), tensor(p+"q").Data, make([]float32, k)
				for r := range n {
					m.Row(value, r)
					for c := range k {
						g := r*(k/size) + c/size
						if got := scaleOf(m, r, c/size); got != scale[g] {
							t.Fatalf("%s: scale of row %d, group %d = %g, want %g", p, r, c/size, got, scale[g])
						}
						zero, want := 0, int(int8(q[r*k+c]))
						if kind == "asym" {
							zero, want = int(tensor(p + "zero").Data[g]), int(q[r*k+c])
						}
						if got := codeOf(m, r, c); got != want {
							t.Fatalf("%s: weight %d,%d = %d, want %d", p, r, c, got, want)
						}
						if exact := float64(want-zero) * float64(scale[g]); math.Abs(float64(value[c])-exact) > 256*float64(scale[g])*0x1p-23 {
							t.Fatalf("%s: value %d,%d = %g, want %g", p, r, c, value[c], exact)
						}
						cases++
					}
				}
				panel := kernel.GroupPanel{Values: make([]uint8, k*4), Words: make([]uint32, kernel.GroupWords(k, size, 4)), Scales: make([]float32, tokens), Width: 4, Step: size}
				for i := range tokens {
					panel.QuantizeToken(i, input[i*k:(i+1)*k])
					if panel.Scales[i] != inScale[i] {
						t.Errorf("scale of input %d = %g, want %g", i, panel.Scales[i], inScale[i])
					}
				}
				strip := kernel.GroupStrips{N: 1, Weights: m.Strip(0), Size: size}
				strip.Scales, strip.Mins = m.StripScales(0)
				out, want, sums := make([]float32, 16*tokens), floats(p+"output"), tensor(p+"sums_int32").Data
				if layout == quant.W8G {
					kernel.MulW8G(out, 16, strip, &panel)
				} else {
					kernel.MulW4G(out, 16, strip, &panel)
				}
				for i := range tokens {
					for r := range n {
						magnitude := 0.0
						for g := range k / size {
							sum := int32(binary.LittleEndian.Uint32(sums[4*((i*n+r)*(k/size)+g):]))
							magnitude += math.Abs(float64(sum) * float64(scale[r*(k/size)+g]) * float64(inScale[i]))
						}
						if kind == "asym" { // the product adds the minimum's share apart: its terms are larger than their sum
							for c := range k {
								magnitude += math.Abs(float64(input[i*k+c])) * 256 * float64(scale[r*(k/size)+c/size])
							}
						}
						if d := math.Abs(float64(out[16*i+r] - want[i*n+r])); d > 1e-6*magnitude {
							t.Errorf("%s: output %d,%d = %g, want %g within %g", p, i, r, out[16*i+r], want[i*n+r], 1e-6*magnitude)
						}
						cases++
					}
				}
			}
		}
	}
	golden.Count(t, cases)
}

// scaleOf reads the float32 scale of a group out of a strip.
func scaleOf(m *quant.Matrix, r, g int) float32 {
	scales, _ := m.StripScales(r / 16)
	return math.Float32frombits(binary.LittleEndian.Uint32(scales[4*(16*g+r%16):]))
}

// codeOf reads the integer of a weight as the reference has it: signed, or from 0 where there is a zero point.
func codeOf(m *quant.Matrix, r, c int) int {
	d, q := m.Strip(r/16), 0
	if m.Layout == quant.W8G {
		if q = int(int8(d[c/4*64+4*(r%16)+c%4])); m.Mins != nil {
			q += 128
		}
		return q
	}
	if q = int(d[c/8*64+4*(r%16)+c%4]) >> (c & 4) & 15; m.Mins == nil {
		q -= 8
	}
	return q
}
