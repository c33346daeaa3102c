package quant

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// reference is one file of golden/quant.
type reference struct {
	*testing.T
	file *safetensors.File
}

func openReference(t *testing.T, name string) reference {
	f, err := safetensors.Parse(golden.Read(t, filepath.Join(golden.Dir(t, "quant"), name)))
	if err != nil {
		t.Fatal(err)
	}
	return reference{t, f}
}

func (f reference) tensor(name string) safetensors.Tensor {
	f.Helper()
	x, ok := f.file.Tensor(name)
	if !ok {
		f.Fatalf("reference tensor %s: missing", name)
	}
	return x
}

func (f reference) floats(name string) []float32 {
	f.Helper()
	data := f.tensor(name).Data
	v := make([]float32, len(data)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return v
}

// near fails unless each number is that of the reference within tolerance times the largest.
func (f reference) near(what string, got, want []float32, tolerance float64) {
	f.Helper()
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(float64(v)))
	}
	for i, v := range want {
		if d := math.Abs(float64(got[i] - v)); !(d <= tolerance*largest) {
			f.Errorf("%s: element %d = %v, want %v within %g", what, i, got[i], v, tolerance*largest)
			return
		}
	}
}

// NF4 and FP4 of every tensor, its last block not full among them: packed bytes and scales bit for bit, double quantisation
// with its bytes, and the scales that come of it.
func TestGoldenPackedTables(t *testing.T) {
	f := openReference(t, "bnb-4bit.safetensors")
	cases := 0
	for typ, table := range map[string][16]float32{"nf4": NF4, "fp4": FP4} {
		if !slices.EqualFunc(f.floats("code."+typ), table[:], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
			t.Errorf("table of %s = %v, want %v", typ, table, f.floats("code."+typ))
		}
		round := newRounding(table[:])
		for _, name := range []string{"normal.", "tail.", "spiky."} {
			x, p := f.floats(name+"input"), name+typ+"."
			codes, absmax := make([]uint8, len(x)+1), []float32{}
			for i := 0; i < len(x); i += 64 {
				absmax = append(absmax, round.block(codes[i:], x[i:min(i+64, len(x))]))
			}
			if !slices.Equal(absmax, f.floats(p+"absmax")) {
				t.Errorf("%sabsmax differs", p)
			}
			for i, want := range f.tensor(p + "packed").Data {
				if got := codes[2*i]<<4 | codes[2*i+1]; got != want {
					t.Fatalf("%spacked: byte %d = %02x, want %02x", p, i, got, want)
				}
				cases++
			}
			inner, top, offset := nest(absmax)
			if want := f.tensor(p + "double.absmax_u8").Data; !slices.Equal(inner, want) {
				t.Errorf("%sdouble.absmax_u8 = %v, want %v", p, inner, want)
			}
			f.near(p+"double.offset", []float32{offset}, f.floats(p+"double.offset"), 1e-6)
			f.near(p+"double.nested_absmax", top, f.floats(p+"double.nested_absmax"), 1e-6)
			f.near(p+"double.absmax_dequant", absmax, f.floats(p+"double.absmax_dequant"), 1e-6)
			cases += len(absmax)
		}
	}
	numbers, _ := nestedTable()
	if want := f.floats("code.nested"); !slices.Equal(numbers, want) {
		t.Errorf("nested table = %v,\nwant %v", numbers, want)
	}
	golden.Count(t, cases)
}

// The kinds "nf4" and "fp4" as whole matrices, with double quantisation: values within rounding.
func TestGoldenDouble(t *testing.T) {
	f := openReference(t, "bnb-4bit.safetensors")
	cases := 0
	for _, name := range []string{"nf4", "fp4"} {
		spec, err := ParseSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		shape, x, want := f.tensor("normal.input").Shape, f.floats("normal.input"), f.floats("normal."+name+".double.dequant")
		rows, cols := shape[0], shape[1]
		m, block, err := spec.New(rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		for r := range rows {
			m.PackRow(r, x[r*cols:(r+1)*cols])
		}
		spec.Finish(m)
		got := make([]float32, len(x))
		for r := range rows {
			m.Row(got[r*cols:(r+1)*cols], r)
		}
		f.near(name, got, want, 1e-6)
		cases += len(want)
	}
	golden.Count(t, cases)
}

// LLM.int8: the quantiser's weights and scales, and products of the same steps as the reference takes them: outlier columns
// over the whole input, which is rounded to half precision before, and its constant for 1/(127*127). At run time columns are
// taken per token.
func TestGoldenLLMInt8(t *testing.T) {
	f := openReference(t, "bnb-int8.safetensors")
	rows, cols := f.tensor("weight").Shape[0], f.tensor("weight").Shape[1]
	w, q, absmax := f.floats("weight"), f.tensor("weight_int8").Data, f.floats("weight_absmax")
	m, block, err := (Spec{Layout: W8C, Outliers: OutlierThreshold}).New(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	defer block.Free()
	cases := 0
	for r := range rows {
		m.PackRow(r, w[r*cols:(r+1)*cols])
		if m.Scale[r] != absmax[r]/127 {
			t.Errorf("scale of row %d = %v, want %v", r, m.Scale[r], absmax[r]/127)
		}
		for k := range cols {
			got, want := int(int8(m.Strip(r / 16)[k/4*64+r%16*4+k%4])), int(int8(q[r*cols+k]))
			if got != want {
				t.Errorf("weight %d,%d = %d, want %d", r, k, got, want)
			}
			cases++
		}
	}
	ones := slices.Repeat([]float32{1}, PaddedRows(rows))
	for _, name := range []string{"none", "few", "many"} {
		x, tokens := f.floats(name+".input"), f.tensor(name + ".input").Shape[0]
		var columns []int
		for k := range cols {
			for i := range tokens {
				if float32(math.Abs(float64(half.FromF16(half.ToF16(x[i*cols+k]))))) >= OutlierThreshold {
					columns = append(columns, k)
					break
				}
			}
		}
		for i, want := range f.tensor(name + ".outlier_cols").Data {
			if i%4 == 0 && columns[i/4] != int(want) {
				t.Errorf("%s: outlier columns %v, want %d at %d", name, columns, want, i/4)
			}
		}
		got := make([]float32, tokens*rows)
		for i := range tokens {
			rest, row := make([]float32, cols), x[i*cols:(i+1)*cols]
			var list []kernel.Outlier
			var top float32
			for k, v := range row {
				rest[k] = half.FromF16(half.ToF16(v))
				if v := float32(math.Abs(float64(rest[k]))); v < OutlierThreshold {
					top = max(top, v)
				}
				if slices.Contains(columns, k) {
					list, rest[k] = append(list, kernel.Outlier{Column: int32(k), Value: v}), 0
				}
			}
			scale := top / 127 // of columns in the list too, where they are no outliers here
			for k, v := range rest {
				rest[k] = float32(round(v, scale, -127, 127))
				if want := int8(f.tensor(name + ".input_int8").Data[i*cols+k]); rest[k] != float32(want) {
					t.Errorf("%s: rounded input %d,%d = %v, want %v", name, i, k, rest[k], want)
				}
			}
			rest = append(rest, 127) // whole numbers with a scale of 1
			rest = append(rest, make([]float32, 15)...)
			panel := make([]uint8, kernel.PanelSize(cols+16, 1))
			if s := kernel.Quantize(panel, 1, 0, rest); s != 1 {
				t.Fatalf("scale of whole numbers = %v", s)
			}
			if want := f.floats(name + ".input_absmax")[i]; math.Abs(float64(scale*127-want)) > 1e-6*float64(want) {
				t.Errorf("%s: absmax of input %d = %v, want %v", name, i, scale*127, want)
			}
			sums, unrounded := make([]float32, PaddedRows(rows)), make([]float32, PaddedRows(rows))
			kernel.MulW8C(sums, len(sums), m.Data, ones, m.RowSum, panel, 1, []float32{1})
			for s := range m.Strips() {
				at := 16 * s
				kernel.AddOutliers(unrounded[at:], m.Strip(s), m.Scale[at:at+16], list)
			}
			for r := range rows {
				got[i*rows+r] = float32(float64(sums[r])*float64(scale*127)*float64(absmax[r])*6.200124e-05) + unrounded[r]
			}
		}
		f.near(name+".output", got, f.floats(name+".output"), 1e-5)
		cases += len(got)
		for i := range tokens { // weights only: the exact preset
			strip, value := make([]float32, rows), make([]float32, cols)
			for r := range rows {
				m.Row(value, r)
				sum := 0.0
				for k, v := range value {
					sum += float64(v) * float64(x[i*cols+k])
				}
				strip[r] = float32(sum)
			}
			copy(got[i*rows:], strip)
		}
		f.near(name+".output_weights_only", got, f.floats(name+".output_weights_only"), 1e-5)
	}
	golden.Count(t, cases)
}

// The transform of vectors of every length that a block can have, 2304 as nine blocks; and rotated w8a8 as a whole.
func TestGoldenHadamard(t *testing.T) {
	f := openReference(t, "hadamard.safetensors")
	cases := 0
	for name, block := range map[string]int{"n64": 64, "n128": 128, "n256": 256, "n2304": 256} {
		x := f.floats(name + ".input")
		kernel.Hadamard(x, block)
		f.near(name, x, f.floats(name+".output"), 1e-6)
		cases += len(x)
	}
	rows, cols, tokens := f.tensor("rotate.weight").Shape[0], f.tensor("rotate.weight").Shape[1], f.tensor("rotate.input").Shape[0]
	w, input := f.floats("rotate.weight"), f.floats("rotate.input")
	kernel.Hadamard(w, 256)
	f.near("rotate.weight_rotated", w, f.floats("rotate.weight_rotated"), 1e-5)
	rotatedInput := slices.Clone(input)
	kernel.Hadamard(rotatedInput, 256)
	f.near("rotate.input_rotated", rotatedInput, f.floats("rotate.input_rotated"), 1e-5)
	for name, c := range map[string]struct {
		spec  Spec
		input []float32
	}{"plain": {Spec{Layout: W8C}, input}, "rotated": {Spec{Layout: W8C, Rotation: MaxRotation}, rotatedInput}} {
		m, block, err := c.spec.New(rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		weight, got := f.floats("rotate.weight"), make([]float32, tokens*rows)
		for r := range rows {
			m.PackRow(r, weight[r*cols:(r+1)*cols])
		}
		for i := range tokens {
			panel := make([]uint8, kernel.PanelSize(cols, 1))
			scale := kernel.Quantize(panel, 1, 0, c.input[i*cols:(i+1)*cols])
			kernel.MulW8C(got[i*rows:], 16, m.Strip(0), m.Scale, m.RowSum, panel, 1, []float32{scale})
		}
		f.near("rotate.w8a8_"+name+"_output", got, f.floats("rotate.w8a8_"+name+"_output"), 1e-5)
		cases += len(got)
	}
	golden.Count(t, cases)
}
