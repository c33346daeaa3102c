package quant

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

var layouts = []Layout{W8C, F32, BF16, F16}

func TestRowGivesBackWhatWasPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := rapid.SampledFrom(layouts).Draw(t, "layout")
		rows, cols := rapid.IntRange(1, 40).Draw(t, "rows"), rapid.IntRange(1, 40).Draw(t, "cols")
		m, block, err := New(l, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		for r := range rows {
			w := rapid.SliceOfN(rapid.Float32Range(-3, 3), cols, cols).Draw(t, "row")
			m.PackRow(r, w)
			got := make([]float32, cols)
			m.Row(got, r)
			want, sum := slices.Clone(w), int32(0)
			for k, v := range w {
				switch l {
				case BF16:
					want[k] = half.FromBF16(half.ToBF16(v))
				case F16:
					want[k] = half.FromF16(half.ToF16(v))
				case W8C: // within half a step
					want[k] = got[k]
					if math.Abs(float64(got[k]-v)) > 0.5001*float64(m.Scale[r]) {
						t.Fatalf("row %d column %d: %v became %v, scale %v", r, k, v, got[k], m.Scale[r])
					}
					if s := m.Scale[r]; s > 0 {
						sum += int32(math.Round(float64(got[k] / s)))
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%v row %d:\n got %v\nwant %v", l, r, got, want)
			}
			if l == W8C && m.RowSum[r] != sum {
				t.Fatalf("row sum %d = %d, want %d", r, m.RowSum[r], sum)
			}
		}
	})
}

// Packing a row touches that row's bytes only, and leaves the padding zero.
func TestPackingLeavesOtherBytes(t *testing.T) {
	for _, l := range layouts {
		m, block, err := New(l, 17, 5)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		m.PackRow(16, []float32{1, 1, 1, 1, 1})
		nonzero := 0
		for _, b := range m.Strip(0) {
			if b != 0 {
				t.Fatalf("%v: strip 0 was touched", l)
			}
		}
		for _, w := range weights(m, 1) {
			if w != 0 {
				nonzero++
			}
		}
		if nonzero != 5 {
			t.Errorf("%v: %d weights of strip 1 are not zero, want 5", l, nonzero)
		}
	}
}

// weights lists all elements of a strip, padding included.
func weights(m *Matrix, s int) []int64 {
	var out []int64
	switch m.Layout.Bits() / 8 {
	case 1:
		for _, b := range m.Strip(s) {
			out = append(out, int64(b))
		}
	case 2:
		for _, b := range offheap.Cast[uint16](m.Strip(s)) {
			out = append(out, int64(b))
		}
	default:
		for _, b := range offheap.Cast[uint32](m.Strip(s)) {
			out = append(out, int64(b))
		}
	}
	return out
}

func TestStripF32EqualsRows(t *testing.T) {
	m, block, err := New(W8C, 20, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer block.Free()
	for r := range 20 {
		w := make([]float32, 7)
		for k := range w {
			w[k] = float32(math.Sin(float64(r*7 + k)))
		}
		m.PackRow(r, w)
	}
	strip, row := make([]float32, 16*8), make([]float32, 7)
	for r := range 20 {
		m.StripF32(strip, r/16)
		m.Row(row, r)
		for k := range 8 {
			want := float32(0)
			if k < 7 {
				want = row[k]
			}
			if got := strip[16*k+r%16]; got != want {
				t.Fatalf("row %d column %d: %v, want %v", r, k, got, want)
			}
		}
	}
}

func TestValidateNamesTheFault(t *testing.T) {
	good := Matrix{Layout: W8C, Rows: 3, Cols: 5, Data: make([]byte, 128), Scale: make([]float32, 16), RowSum: make([]int32, 16)}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Matrix){
		"layout": func(m *Matrix) { m.Layout = 99 },
		"rows":   func(m *Matrix) { m.Rows = 0 },
		"cols":   func(m *Matrix) { m.Cols = 1 << 17 },
		"data":   func(m *Matrix) { m.Data = m.Data[:127] },
		"scale":  func(m *Matrix) { m.Scale = nil },
		"sum":    func(m *Matrix) { m.RowSum = m.RowSum[:3] },
	} {
		m := good
		if spoil(&m); m.Validate() == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

func TestLayoutNames(t *testing.T) {
	for _, l := range layouts {
		if got, err := ParseLayout(l.String()); err != nil || got != l {
			t.Errorf("ParseLayout(%v) = %v, %v", l, got, err)
		}
	}
	if _, err := ParseLayout("W9"); err == nil {
		t.Error("ParseLayout(W9): want an error")
	}
}
