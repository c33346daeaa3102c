package quant

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFormatIsParsed(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, want Spec) {
		want.Table, want.Double = [16]float32{}, false // a format leaves them out
		if got, err := ParseFormat(want.Format()); err != nil || got != want {
			t.Fatalf("ParseFormat(%q) = %v, %v", want.Format(), got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		l, g, _ := groupings(t)
		check(t, Spec{Layout: l, Grouping: g})
	})
	for _, name := range TypeNames() {
		s, err := ParseSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		check(t, s)
	}
	check(t, Spec{Layout: W8C, Outliers: 0.1})
	for _, s := range []string{"", "W8G", "W4L", "W8G-", "W8G-g32-", "W8G-32", "W8G-g32-min-f16", "W8G-g032", "W8C-g32", "W9", "W8G-f16", "W8G-g32-f16-f16",
		"W8G-g-32", "W4G-g32-x", "W8C-r", "W8C-r064", "W8C-o", "W8C-o6.0", "W8C-oNaN", "W8C-o1e400", "W8C-r64-r64"} {
		if got, err := ParseFormat(s); err == nil {
			t.Errorf("ParseFormat(%q) = %v, want an error", s, got)
		}
	}
}

func FuzzParseFormat(f *testing.F) {
	for _, s := range []string{"W8C", "W8C-r256", "W8C-o6", "W8G-g32-f16-min-token", "W4L-g64", "W8C-oInf", "W8C-r-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, err := ParseFormat(name)
		if err != nil {
			return
		}
		if s.Format() != name {
			t.Fatalf("%q became %q", name, s.Format())
		}
		if s, err := s.For(256); err == nil && s.Bytes(1, 256) <= 0 {
			t.Fatalf("%q: %d bytes", name, s.Bytes(1, 256))
		}
	})
}

// Every kind of weights has one name, packs a row, and gives it back by and large.
func TestTypes(t *testing.T) {
	for _, name := range TypeNames() {
		s, err := ParseSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name() != name {
			t.Errorf("%s is called %s", name, s.Name())
		}
		m, block, err := s.New(17, 512)
		if err != nil {
			t.Fatal(err)
		}
		defer block.Free()
		if got := m.Spec().Name(); got != name {
			t.Errorf("a matrix of %s is called %s", name, got)
		}
		if n := s.Bytes(17, 512); n < int64(len(block.Bytes())) || n > int64(len(block.Bytes()))+8*32 {
			t.Errorf("%s: Bytes says %d, the block has %d", name, n, len(block.Bytes()))
		}
		w, got := make([]float32, 512), make([]float32, 512)
		for k := range w {
			w[k] = float32(k%31-15) / 16
		}
		for r := range m.Rows {
			m.PackRow(r, w)
		}
		s.Finish(m)
		strip := make([]float32, 16*512)
		for r := range m.Rows {
			m.Row(got, r)
			if m.Layout.Bits() < 16 {
				m.StripF32(strip, r/16)
			}
			var noise, power float64
			for k, v := range w {
				noise += float64(got[k]-v) * float64(got[k]-v)
				power += float64(v) * float64(v)
				if m.Layout.Bits() < 16 && strip[16*k+r%16] != got[k] {
					t.Fatalf("%s: row %d, column %d: %v in the row, %v in the strip", name, r, k, got[k], strip[16*k+r%16])
				}
			}
			if limit := map[int]float64{4: 0.02, 8: 1e-4}[m.Layout.Bits()]; noise > limit*power {
				t.Errorf("%s: row %d: noise is %.2g of the weights' power, want at most %g", name, r, noise/power, limit)
			}
		}
	}
}

func TestSpecErrorsSayWhatWouldDo(t *testing.T) {
	for name, want := range map[string]string{
		"":            "want one of f32, f16, bf16, q8_0, w8a8, ",
		"W8A8":        "w8a8-gN, w4-gN (N: a group size), found \"W8A8\"",
		"w8a8-g48":    "want a group size of [16 32 64 128 256 512], found \"48\"",
		"w8a8-g064":   "found \"064\"",
		"w8a8-g":      "found \"\"",
		"w4-g16":      "want a group size of [32 64 128 256 512], found \"16\"",
		"w8a8-g-64":   "found \"-64\"",
		"w8a8-g64-64": "found \"64-64\"",
	} {
		if _, err := ParseSpec(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSpec(%q): %v, want %q", name, err, want)
		}
	}
	for _, c := range []struct {
		name string
		cols int
		want string
	}{
		{"w8a8-g512", 2304, "w8a8-g512: groups of 512 do not divide 2304 columns; sizes that do: [16 32 64 128 256]"},
		{"w4-g128", 192, "w4-g128: groups of 128 do not divide 192 columns; sizes that do: [32 64]"},
		{"w8a8-rotated", 40, "w8a8-rotated: want a multiple of 16 columns, found 40"},
		{"nf4", 96, "nf4: group size 64: want a divisor of the 96 columns"},
		{"q8_0", 80, "q8_0: groups of 32 do not divide 80 columns; sizes that do: [16]"},
	} {
		s, err := ParseSpec(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.For(c.cols); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %d columns: %v, want %q", c.name, c.cols, err, c.want)
		}
	}
	for cols, want := range map[int]int{192: 64, 512: 256, 2304: 256, 9216: 256, 48: 16} {
		s, err := (Spec{Layout: W8C, Rotation: MaxRotation}).For(cols)
		again, err2 := s.For(cols)
		if err != nil || err2 != nil || s.Rotation != want || again != s {
			t.Errorf("rotation for %d columns: %d, %d, %v, %v, want %d", cols, s.Rotation, again.Rotation, err, err2, want)
		}
	}
	if got := GroupSizesFor(W8G, 2304, 9216, 2048); !slices.Equal(got, []int{16, 32, 64, 128, 256}) {
		t.Errorf("sizes for a 2B: %v", got)
	}
	bad := []Spec{{Layout: BF16, Rotation: 64}, {Layout: W8C, Rotation: 8}, {Layout: W8C, Outliers: -1}, {Layout: W8C, Outliers: 6, Rotation: 64}, {Layout: F32, Outliers: 6},
		{Layout: W8C, Table: NF4}, {Layout: W8C, Double: true}, {Layout: W8C, Rotation: 96}, {Layout: W8C, Rotation: -64}, {}}
	for _, s := range bad {
		if got, err := s.For(256); err == nil {
			t.Errorf("%v became %v, want an error", s, got)
		}
	}
}

// What rounding a row costs: conversion is bound by it, or by the disk.
func BenchmarkPackRow(b *testing.B) {
	row := make([]float32, 2304)
	for i := range row {
		row[i] = float32(rand.NormFloat64())
	}
	for _, name := range []string{"w8a8", "w8a8-g128", "w4", "nf4"} {
		b.Run("type="+name, func(b *testing.B) {
			spec, err := ParseSpec(name)
			if err != nil {
				b.Fatal(err)
			}
			m, block, err := spec.New(16, len(row))
			if err != nil {
				b.Fatal(err)
			}
			defer block.Free()
			b.SetBytes(int64(4 * len(row)))
			for b.Loop() {
				m.PackRow(0, row)
			}
		})
	}
}
