package quant_test

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// w8a8 as the reference formulas have it, bit for bit: weights, scales, and products of rounded activations.
func TestGoldenW8A8(t *testing.T) {
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
	cases := 0
	for _, name := range []string{"small", "odd", "wide"} {
		p := "w8a8." + name + "."
		n, k, m := tensor(p + "weight").Shape[0], tensor(p + "weight").Shape[1], tensor(p + "input").Shape[0]
		weight, input := floats(p+"weight"), floats(p+"input")
		w, block, err := quant.New(quant.W8C, n, k)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		scale, q := floats(p+"weight_scale"), tensor(p+"weight_int8").Data
		for r := range n {
			w.PackRow(r, weight[r*k:(r+1)*k])
			if w.Scale[r] != scale[r] {
				t.Errorf("%s: scale of row %d = %g, want %g", name, r, w.Scale[r], scale[r])
			}
			for c := range k {
				if got := w.Strip(r / 16)[c/4*64+r%16*4+c%4]; got != q[r*k+c] {
					t.Fatalf("%s: weight %d,%d = %d, want %d", name, r, c, int8(got), int8(q[r*k+c]))
				}
				cases++
			}
		}
		inScale, want := floats(p+"input_scale"), floats(p+"output")
		for i := range m {
			x := make([]float32, (k+15)&^15)
			copy(x, input[i*k:(i+1)*k])
			panel := make([]uint8, kernel.PanelSize(k, 1))
			s := kernel.Quantize(panel, 1, 0, x)
			if s != inScale[i] {
				t.Errorf("%s: scale of input %d = %g, want %g", name, i, s, inScale[i])
			}
			out := make([]float32, quant.PaddedRows(n))
			for strip := range w.Strips() {
				r := 16 * strip
				kernel.MulW8C(out[r:], 16, w.Strip(strip), w.Scale[r:r+16], w.RowSum[r:r+16], panel, 1, []float32{s})
			}
			for r := range n {
				if out[r] != want[i*n+r] {
					t.Errorf("%s: output %d,%d = %g, want %g", name, i, r, out[r], want[i*n+r])
				}
				cases++
			}
		}
	}
	golden.Count(t, cases)
}
