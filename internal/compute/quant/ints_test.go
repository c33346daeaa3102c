package quant

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// RoundRow and PackInts make of a row what PackRow makes of it, and Ints gives it back.
func TestIntsAreThoseOfPackRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cols := rapid.IntRange(1, 70).Draw(t, "columns")
		want, block, err := Spec{Layout: W8C}.New(19, cols)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		got, block2, err := Spec{Layout: W8C}.New(19, cols)
		if err != nil {
			t.Fatal(err)
		}
		defer block2.Free()
		ints, back := make([]byte, cols), make([]byte, cols)
		for _, r := range []int{0, 3, 18} {
			w := rapid.SliceOfN(rapid.OneOf(rapid.Float32Range(-2, 2), rapid.Just(float32(0))), cols, cols).Draw(t, "row")
			want.PackRow(r, w)
			scale := RoundRow(ints, w)
			got.PackInts(r, ints, scale)
			if s := got.Ints(back, r); s != scale || !bytes.Equal(back, ints) {
				t.Fatalf("row %d: %v, %v came back as %v, %v", r, ints, scale, back, s)
			}
			if math.Float32bits(got.Scale[r]) != math.Float32bits(want.Scale[r]) || got.RowSum[r] != want.RowSum[r] {
				t.Fatalf("row %d: scale %v, sum %d, want %v, %d", r, got.Scale[r], got.RowSum[r], want.Scale[r], want.RowSum[r])
			}
		}
		if !bytes.Equal(got.Data, want.Data) {
			t.Fatal("the weights differ from PackRow's")
		}
	})
}

// -128 is not rounded, nor lost in a product's row sum or value.
func TestPackIntsKeepsMinus128(t *testing.T) {
	m, block, err := Spec{Layout: W8C}.New(1, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer block.Free()
	m.PackInts(0, []byte{0x80, 0x7f, 0, 1, 0xff}, 0.5)
	row := make([]float32, 5)
	m.Row(row, 0)
	if m.RowSum[0] != -1 || row[0] != -64 || row[1] != 63.5 || row[4] != -0.5 {
		t.Errorf("sum %d, row %v", m.RowSum[0], row)
	}
}
