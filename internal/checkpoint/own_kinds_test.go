package checkpoint

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// packed is a matrix of a kind with weights of its own, and a source that packs it in pieces of 16 rows.
func packed(t testing.TB, spec quant.Spec, rows, cols int) (*quant.Matrix, MatrixSource) {
	spec, err := spec.For(cols)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(first, rows int) *quant.Matrix {
		m, block, err := spec.New(rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = block.Free() })
		row := make([]float32, cols)
		for r := range rows {
			for k := range row {
				row[k] = float32(math.Sin(float64((first+r)*cols + 3*k*k)))
			}
			m.PackRow(r, row)
		}
		return m
	}
	m := fill(0, rows)
	spec.Finish(m)
	return m, MatrixSource{Spec: spec, Pack: func(emit func(*quant.Matrix) error) error {
		for r := 0; r < rows; r += 16 {
			if err := emit(fill(r, min(16, rows-r))); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Every kind of weights comes out of a file as it would be packed as a whole: double quantisation, which needs all scales of a
// matrix, too.
func TestKindsRoundTrip(t *testing.T) {
	cfg := tinyConfig()
	cfg.HiddenSize, cfg.IntermediateSize, cfg.HeadDim = 64, 128, 32
	for _, name := range []string{"w8a8", "w8a8-rotated", "llm-int8", "w8a8-g64", "w4", "nf4", "fp4", "bf16", "q8_0"} {
		spec, err := quant.ParseSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		m, _ := tiny(cfg, mixed)
		whole := map[string]*quant.Matrix{}
		for _, s := range ownSpecs(&cfg) {
			if len(s.shape) == 2 {
				whole[s.name], m.Matrices[s.name] = packed(t, spec, s.shape[0], s.shape[1])
			}
		}
		c, err := OpenBytes("memory", writeUnsynced(t, t.TempDir(), m))
		if err != nil {
			t.Fatal(err)
		}
		defer close(t, c)
		for part, want := range whole {
			got := c.Matrices[part]
			if got.Spec() != want.Spec() || got.Spec().Name() != name {
				t.Fatalf("%s %s: %v, want %v", name, part, got.Spec(), want.Spec())
			}
			a, b := make([]float32, got.Cols), make([]float32, got.Cols)
			for r := range got.Rows {
				got.Row(a, r)
				if want.Row(b, r); !slices.Equal(a, b) {
					t.Fatalf("%s %s: row %d = %v, want %v", name, part, r, a, b)
				}
			}
		}
		if err := c.Verify(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
}

// A rotation or a threshold that does not fit is refused, in a model and in a file.
func TestKindFaultsAreNamed(t *testing.T) {
	cfg := tinyConfig()
	cfg.HiddenSize, cfg.IntermediateSize, cfg.HeadDim = 64, 128, 32
	const name = "blk.0.ffn_up.weight"
	m, _ := tiny(cfg, mixed)
	_, source := packed(t, quant.Spec{Layout: quant.W8C, Rotation: quant.MaxRotation}, cfg.IntermediateSize, cfg.HiddenSize)
	for what, spoil := range map[string]func(*MatrixSource){
		"not resolved": func(s *MatrixSource) { s.Rotation = quant.MaxRotation },
		"other block":  func(s *MatrixSource) { s.Rotation = 32 },
		"outliers":     func(s *MatrixSource) { s.Outliers = 6 },
		"none":         func(s *MatrixSource) { s.Rotation = 0 },
	} {
		bad := source
		spoil(&bad)
		m.Matrices[name] = bad
		if err := Write(t.Context(), t.TempDir()+"/m.gguf", m); err == nil {
			t.Errorf("%s: written", what)
		}
	}
	m.Matrices[name] = source
	data := writeUnsynced(t, t.TempDir(), m)
	for _, other := range []string{"W8C-r48", "W8C-r99", "W8C-x64", "W8C-o-1", "W8C-o.5", "F16-r64"} {
		bad := bytes.Replace(data, []byte("W8C-r64"), []byte(other), 1)
		if bytes.Equal(bad, data) {
			t.Fatal("the file does not name its format")
		}
		putHeaderSum(bad[:dataStart(t, data)])
		if _, err := OpenBytes("memory", bad); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, "weight")) && !strings.Contains(err.Error(), "layout") {
			t.Errorf("%s: err = %v, want one that names the tensor", other, err)
		}
	}
}
