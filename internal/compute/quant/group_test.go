package quant

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// groupings draws one that the layout allows, with a number of columns that it divides.
func groupings(t *rapid.T) (l Layout, g Grouping, cols int) {
	l = rapid.SampledFrom([]Layout{W8G, W4G}).Draw(t, "layout")
	sizes := GroupSizes
	if l == W4G {
		sizes = sizes[1:]
	}
	g = Grouping{
		Size: rapid.SampledFrom(sizes).Draw(t, "size"), HalfScales: rapid.Bool().Draw(t, "halves"),
		Mins: rapid.Bool().Draw(t, "mins"), PerToken: rapid.Bool().Draw(t, "per token"),
	}
	return l, g, max(g.Size, 32) * rapid.IntRange(1, 3).Draw(t, "groups")
}

// A weight comes back within half a step of its group's scale (with minima and half precision: and their own rounding), the
// padding stays zero, and a strip holds what its rows hold.
func TestGroupedRowGivesBackWhatWasPacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, g, cols := groupings(t)
		rows := rapid.IntRange(1, 20).Draw(t, "rows")
		m, block, err := NewGrouped(l, g, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		got, strip := make([]float32, cols), make([]float32, 16*cols)
		for r := range rows {
			few := rapid.SliceOfN(rapid.Float32Range(-3, 3), 7, 7).Draw(t, "weights")
			w := make([]float32, cols)
			for k := range w {
				w[k] = few[(k+k/7)%7]
			}
			m.PackRow(r, w)
			m.Row(got, r)
			m.StripF32(strip, r/StripRows)
			scales, _ := m.StripScales(r / StripRows)
			for k, v := range w {
				scale := float64(m.scale(scales, k/g.Size*StripRows+r%StripRows))
				scale = math.Abs(scale)
				limit := 0.5001 * scale
				if g.HalfScales || g.Mins {
					limit = 1.01*scale + 3*0x1p-10 // scale and minimum in half precision; two roundings to integers
				}
				if l == W4G && g.HalfScales && !g.Mins {
					// The scale with the least squared error may cut off the largest weights; where it would lie below half of half
					// precision's least number, 2^-24, it is zero, and so are weights of up to 7 times that.
					limit = max(2*scale, 7*0x1p-25)
				}
				if math.Abs(float64(got[k]-v)) > limit {
					t.Fatalf("%s row %d column %d: %v became %v, scale %v", (Spec{Layout: l, Grouping: g}).Format(), r, k, v, got[k], scale)
				}
				if s := strip[16*k+r%StripRows]; math.Float32bits(s) != math.Float32bits(got[k]) {
					t.Fatalf("%s row %d column %d: %v in the strip, %v in the row", (Spec{Layout: l, Grouping: g}).Format(), r, k, s, got[k])
				}
			}
		}
		if rows%StripRows != 0 { // a padded row is zero
			m.StripF32(strip, m.Strips()-1)
			for k := range cols {
				if v := strip[16*k+15]; v != 0 {
					t.Fatalf("%s: padding holds %v", (Spec{Layout: l, Grouping: g}).Format(), v)
				}
			}
		}
	})
}

// Packing a row leaves the bytes of all others.
func TestGroupedPackingLeavesOtherRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, g, cols := groupings(t)
		m, block, err := NewGrouped(l, g, 5, cols)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		w, before, after := make([]float32, cols), make([]float32, cols), make([]float32, cols)
		for k := range w {
			w[k] = float32(math.Sin(float64(k)))
		}
		m.PackRow(1, w)
		m.PackRow(3, w)
		m.Row(before, 3)
		for k := range w {
			w[k] *= -2
		}
		m.PackRow(2, w)
		m.PackRow(4, w)
		m.Row(after, 3)
		for k := range before {
			if before[k] != after[k] {
				t.Fatalf("%s: column %d of row 3 became %v from %v", (Spec{Layout: l, Grouping: g}).Format(), k, after[k], before[k])
			}
		}
	})
}

func TestValidateNamesTheGroupFault(t *testing.T) {
	m, block, err := NewGrouped(W8G, Grouping{Size: 32, Mins: true}, 3, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer block.Free()
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Matrix){
		"size":         func(m *Matrix) { m.Grouping.Size = 48 },
		"no size":      func(m *Matrix) { m.Grouping.Size = 0 },
		"divisor":      func(m *Matrix) { m.Grouping.Size = 128 },
		"scales":       func(m *Matrix) { m.Scales = m.Scales[1:] },
		"minima":       func(m *Matrix) { m.Mins = nil },
		"halves":       func(m *Matrix) { m.Grouping.HalfScales = true },
		"other layout": func(m *Matrix) { m.Layout, m.Scale, m.RowSum = W8C, make([]float32, 16), make([]int32, 16) },
		"more minima":  func(m *Matrix) { m.Grouping.Mins = false },
	} {
		bad := *m
		if spoil(&bad); bad.Validate() == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	m, block, err = NewGrouped(W4L, TableGrouping, 3, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer block.Free()
	if m.Table = m.Table[1:]; m.Validate() == nil {
		t.Error("table of 15 numbers: want an error")
	}
	for _, c := range []struct {
		l    Layout
		g    Grouping
		cols int
	}{{W4G, Grouping{Size: 16}, 64}, {W8G, Grouping{Size: 16}, 48}, {W8G, Grouping{Size: 512}, 256}, {W8C, Grouping{Size: 32}, 64}, {W4L, Grouping{Size: 32}, 64}, {W4L, TableGrouping, 96}, {W8G, Grouping{}, 64}} {
		if _, _, err := NewGrouped(c.l, c.g, 16, c.cols); err == nil {
			t.Errorf("NewGrouped(%s) with %d columns: want an error", (Spec{Layout: c.l, Grouping: c.g}).Format(), c.cols)
		}
	}
}

// The scale that is searched for loses no more than the one of the largest weight, by squared error, and no number that is none
// passes for a zero.
func TestBestScale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.Float32Range(-3, 3), 32, 32).Draw(t, "x")
		noise := func(scale float32) (sum float64) {
			for _, v := range x {
				sum += math.Pow(float64(v)-float64(scale)*float64(round(v, scale, -8, 7)), 2)
			}
			return sum
		}
		scale := bestScale(x)
		if plain := half.FromF16(half.ToF16(max(slices.Max(x), -slices.Min(x)) / 7)); noise(scale) > 1.0001*noise(plain)+1e-12 {
			t.Fatalf("scale %v loses %g, %v would lose %g", scale, noise(scale), plain, noise(plain))
		}
	})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		x    []float32
		want func(scale float32) bool
	}{
		{make([]float32, 32), func(s float32) bool { return s == 0 }},
		{[]float32{1e-30, -1e-30}, func(s float32) bool { return s == 0 }},
		{[]float32{1, nan, 2}, func(s float32) bool { return s != s }},
		{[]float32{1, -inf}, func(s float32) bool { return math.IsInf(float64(s), 0) }},
	} {
		if got := bestScale(c.x); !c.want(got) {
			t.Errorf("bestScale(%v) = %v", c.x, got)
		}
	}
}
