package checkpoint

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/blocks"
)

func TestRowDecodesEachType(t *testing.T) {
	le := binary.LittleEndian
	var f32, f16, bf16, q8 []byte
	for _, v := range []float32{1.5, -2, 0, 3.140625} {
		f32 = le.AppendUint32(f32, math.Float32bits(v))
		bf16 = le.AppendUint16(bf16, uint16(math.Float32bits(v)>>16))
	}
	for _, bits := range []uint16{0x3e00, 0xc000, 0x0001, 0x4248} {
		f16 = le.AppendUint16(f16, bits)
	}
	want8 := make([]float32, 64)
	for b, scale := range []uint16{0x3800, 0xb400} { // 0.5, -0.25
		q8 = le.AppendUint16(q8, scale)
		for i := range 32 {
			q := int8(5*i - 100)
			q8 = append(q8, byte(q))
			want8[32*b+i] = []float32{0.5, -0.25}[b] * float32(q)
		}
	}
	for _, c := range []struct {
		x    Tensor
		want []float32 // all rows
	}{
		{Tensor{Type: gguf.F32, Shape: []int{2, 2}, Data: f32}, []float32{1.5, -2, 0, 3.140625}},
		{Tensor{Type: gguf.F16, Shape: []int{2, 2}, Data: f16}, []float32{1.5, -2, 0x1p-24, 3.140625}},
		{Tensor{Type: gguf.BF16, Shape: []int{1, 4}, Data: bf16}, []float32{1.5, -2, 0, 3.140625}},
		{Tensor{Type: gguf.BF16, Shape: []int{4}, Data: bf16}, []float32{1.5, -2, 0, 3.140625}},
		{Tensor{Type: gguf.Q8_0, Shape: []int{1, 64}, Data: q8}, want8},
		{Tensor{Type: gguf.Q8_0, Shape: []int{2, 32}, Data: q8}, want8},
	} {
		n := c.x.Columns()
		for r := range len(c.want) / n {
			got := make([]float32, n)
			if err := c.x.Row(got, r); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want[r*n:(r+1)*n], got); diff != "" {
				t.Errorf("%v %v row %d (-want +got):\n%s", c.x.Type, c.x.Shape, r, diff)
			}
		}
	}
}

func TestRowNamesATypeItCannotDecode(t *testing.T) {
	x := Tensor{Name: "blk.0.ffn_up.weight", Type: 16, Shape: []int{1, 256}, Data: make([]byte, 66)}
	want := "tensor blk.0.ffn_up.weight: this version reads weights of F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, " +
		"Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, found IQ2_XXS"
	if err := x.Row(make([]float32, 256), 0); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Row: err = %v, want %q", err, want)
	}
	c := &Checkpoint{Path: "m.gguf", Tensors: map[string]Tensor{x.Name: x, "z": x, "a": {Type: gguf.F32}}}
	if err := c.Runnable(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Runnable: err = %v, want %q", err, want)
	}
}

// The container and the decoder agree on the size and the name of every block.
func TestBlocksAreThoseOfTheContainer(t *testing.T) {
	for _, n := range blocks.Numbers() {
		f, _ := blocks.Of(n)
		size, err := gguf.Type(n).RowSize(f.Elements)
		if err != nil || size != f.Bytes || gguf.Type(n).String() != f.Name {
			t.Errorf("type %d is %s of %d bytes, in the container %v of %d (err = %v)", n, f.Name, f.Bytes, gguf.Type(n), size, err)
		}
		if _, err := gguf.Type(n).RowSize(f.Elements + f.Elements/2); err == nil {
			t.Errorf("%s: a row of one block and a half is allowed", f.Name)
		}
	}
}

// A row of whole blocks has the values of its blocks, whatever its place.
func TestRowDecodesBlocks(t *testing.T) {
	for _, n := range blocks.Numbers() {
		f, _ := blocks.Of(n)
		data := make([]byte, 3*2*f.Bytes)
		for i := range data {
			data[i] = byte(29*i) & 0x3b // scales are finite
		}
		x := Tensor{Name: "x", Type: gguf.Type(n), Shape: []int{3, 2 * f.Elements}, Data: data}
		got, want := make([]float32, x.Columns()), make([]float32, x.Columns())
		for r := range 3 {
			f.Decode(want, data[r*2*f.Bytes:(r+1)*2*f.Bytes])
			if err := x.Row(got, r); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s row %d: %v (err = %v), want %v", f.Name, r, got, err, want)
			}
		}
	}
}
