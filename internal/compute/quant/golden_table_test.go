package quant_test

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// NF4 and FP4 as bitsandbytes stores them: values bit for bit, a product within 1e-5 of the largest output, and the same
// codes from the floats (of equally near numbers another may be taken, so that values are compared).
func TestGoldenTables(t *testing.T) {
	f, err := safetensors.Parse(golden.Read(t, filepath.Join(golden.Dir(t, "quant"), "bnb-4bit.safetensors")))
	if err != nil {
		t.Fatal(err)
	}
	floats := func(name string) []float32 {
		x, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("reference tensor %s: missing", name)
		}
		v := make([]float32, len(x.Data)/4)
		for i := range v {
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(x.Data[4*i:]))
		}
		return v
	}
	cases := 0
	for _, name := range []string{"normal.nf4", "normal.fp4", "spiky.nf4"} { // "tail" has rows that are no multiple of 64
		in, ok := f.Tensor(name[:len(name)-3] + "input")
		packed, ok2 := f.Tensor(name + ".packed")
		if !ok || !ok2 {
			t.Fatalf("reference tensor %s: missing", name)
		}
		rows, cols := in.Shape[0], in.Shape[1]
		absmax, want, input := floats(name+".absmax"), floats(name+".dequant"), floats(name[:len(name)-3]+"input")
		stored, rounded := table(t, rows, cols, floats("code."+name[len(name)-3:])), table(t, rows, cols, floats("code."+name[len(name)-3:]))
		row, own := make([]float32, cols), make([]float32, cols)
		differ := 0
		for r := range rows {
			stored.PackCodes(r, packed.Data[r*cols/2:(r+1)*cols/2], absmax[r*cols/64:(r+1)*cols/64])
			rounded.PackRow(r, input[r*cols:(r+1)*cols])
			stored.Row(row, r)
			rounded.Row(own, r)
			for k, v := range row {
				if w := want[r*cols+k]; v != w {
					t.Fatalf("%s: value %d,%d = %v, want %v", name, r, k, v, w)
				}
				if own[k] != v {
					differ++
				}
				cases++
			}
		}
		if differ > 0 {
			t.Errorf("%s: %d of %d values rounded otherwise", name, differ, len(want))
		}
		if name != "normal.nf4" {
			continue
		}
		x, out := floats("linear.input"), floats("linear.normal.nf4.output")
		strip, got := make([]float32, 16*cols), make([]float32, 16)
		largest := 0.0
		for _, v := range out {
			largest = max(largest, math.Abs(float64(v)))
		}
		for s := range stored.Strips() {
			scales, _ := stored.StripScales(s)
			kernel.ExpandW4L(strip, stored.Strip(s), offheap.Cast[float32](scales), stored.Table)
			for i := range len(x) / cols {
				panel := make([]float32, cols)
				kernel.Pack(panel, 1, 0, x[i*cols:(i+1)*cols])
				kernel.MulF32(got, 16, bytesOf(strip), panel, 1, 1)
				for r := 16 * s; r < min(rows, 16*s+16); r++ {
					if d := math.Abs(float64(got[r%16] - out[i*rows+r])); d > 1e-5*largest {
						t.Errorf("%s: output %d,%d = %v, want %v", name, i, r, got[r%16], out[i*rows+r])
					}
					cases++
				}
			}
		}
	}
	golden.Count(t, cases)
}

func table(t *testing.T, rows, cols int, numbers []float32) *quant.Matrix {
	t.Helper()
	m, block, err := quant.NewGrouped(quant.W4L, quant.TableGrouping, rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = block.Free() })
	copy(m.Table, numbers)
	return m
}

func bytesOf(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
