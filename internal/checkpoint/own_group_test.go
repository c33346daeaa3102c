package checkpoint

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// grouped is a whole matrix of a format, whose bytes are told apart by seed, and a source that gives it in pieces of n rows.
func grouped(t testing.TB, as quant.Spec, rows, cols, seed, n int) (*quant.Matrix, MatrixSource) {
	m, block, err := as.New(rows, cols)
	if err != nil {
		t.Fatal(err)
	}
	defer block.Free()
	for i, field := range []*[]byte{&m.Data, &m.Scales, &m.Mins} {
		if *field != nil {
			*field = bytes.Clone(*field) // the block goes
		}
		for k := range *field {
			(*field)[k] = byte(k*7 + k/251 + 5*i + seed)
		}
	}
	for i := range m.Table {
		m.Table[i] = float32(i*i+seed) / 16
	}
	return m, MatrixSource{Spec: as, Pack: func(emit func(*quant.Matrix) error) error {
		for r := 0; r < rows; r += n {
			p := &quant.Matrix{Layout: m.Layout, Grouping: m.Grouping, Rows: min(n, rows-r), Cols: cols}
			cut := func(b []byte) []byte {
				perRow := len(b) / quant.PaddedRows(rows)
				return b[r*perRow : (r+quant.PaddedRows(p.Rows))*perRow]
			}
			p.Data, p.Scales = cut(m.Data), cut(m.Scales)
			p.Table = m.Table
			if m.Mins != nil {
				p.Mins = cut(m.Mins)
			}
			if err := emit(p); err != nil {
				return err
			}
		}
		return nil
	}}
}

// What Write stores of matrices with groups is what Open gives back, beside matrices without.
func TestGroupedRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		cfg := tinyConfig()
		cfg.HiddenSize, cfg.IntermediateSize, cfg.HeadDim = 64, 128, 32
		m, whole := tiny(cfg, mixed)
		for i, s := range ownSpecs(&cfg) {
			if len(s.shape) == 1 || r.IntN(3) == 0 {
				continue
			}
			as := quant.Spec{Layout: []quant.Layout{quant.W8G, quant.W4G}[r.IntN(2)], Grouping: quant.Grouping{
				Size: 32 << r.IntN(2), HalfScales: r.IntN(2) == 0, Mins: r.IntN(2) == 0, PerToken: r.IntN(2) == 0,
			}}
			if r.IntN(4) == 0 {
				as = quant.Spec{Layout: quant.W4L, Grouping: quant.TableGrouping}
			}
			whole[s.name], m.Matrices[s.name] = grouped(t, as, s.shape[0], s.shape[1], i, 16*(1+r.IntN(3)))
		}
		data := writeUnsynced(t, t.TempDir(), m)
		c, err := OpenBytes("memory", data)
		if err != nil {
			t.Fatal(err)
		}
		defer close(t, c)
		if diff := diffModel(m, whole, c); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if err := c.Verify(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A format that does not fit its matrix is refused, in a model and in a file.
func TestGroupedFaultsAreNamed(t *testing.T) {
	cfg := tinyConfig()
	cfg.HiddenSize, cfg.IntermediateSize, cfg.HeadDim = 64, 128, 32
	const name = "blk.0.ffn_up.weight"
	good := quant.Spec{Layout: quant.W8G, Grouping: quant.Grouping{Size: 32, HalfScales: true}}
	for what, spoil := range map[string]func(*MatrixSource){
		"size":    func(s *MatrixSource) { s.Grouping.Size = 128 },
		"none":    func(s *MatrixSource) { s.Grouping = quant.Grouping{} },
		"piece":   func(s *MatrixSource) { s.Grouping.PerToken = true },
		"layout":  func(s *MatrixSource) { s.Layout = quant.W4G },
		"minimum": func(s *MatrixSource) { s.Grouping.Mins = true },
	} {
		m, _ := tiny(cfg, mixed)
		_, source := grouped(t, good, cfg.IntermediateSize, cfg.HiddenSize, 1, 16)
		spoil(&source)
		m.Matrices[name] = source
		if err := Write(t.Context(), t.TempDir()+"/m.gguf", m); err == nil {
			t.Errorf("%s: written", what)
		}
	}
	m, _ := tiny(cfg, mixed)
	_, m.Matrices[name] = grouped(t, good, cfg.IntermediateSize, cfg.HiddenSize, 1, 16)
	data := writeUnsynced(t, t.TempDir(), m)
	start := dataStart(t, data)
	for _, other := range []string{"W8G-g64-f16", "W8G-g99-f16", "W8G-g16-f16", "W4G-g32-f16", "W8G-g32-f32"} {
		bad := bytes.Replace(data, []byte("W8G-g32-f16"), []byte(other), 1)
		if bytes.Equal(bad, data) {
			t.Fatal("the file does not name its format")
		}
		putHeaderSum(bad[:start])
		if _, err := OpenBytes("memory", bad); err == nil || !strings.Contains(err.Error(), "tensor "+strings.TrimSuffix(name, "weight")) && !strings.Contains(err.Error(), "layout") {
			t.Errorf("%s: err = %v, want one that names the tensor", other, err)
		}
	}
}

// groupedModel has a matrix of each layout with groups.
func groupedModel(t testing.TB) *Model {
	cfg := tinyConfig()
	cfg.HiddenSize, cfg.IntermediateSize, cfg.HeadDim = 64, 128, 32
	m, _ := tiny(cfg, mixed)
	for name, as := range map[string]quant.Spec{
		"blk.0.ffn_up.weight": {Layout: quant.W8G, Grouping: quant.Q8Grouping}, "blk.0.ffn_gate.weight": {Layout: quant.W4G, Grouping: quant.Q41Grouping}, "blk.1.ffn_up.weight": {Layout: quant.W4L, Grouping: quant.TableGrouping},
	} {
		_, m.Matrices[name] = grouped(t, as, cfg.IntermediateSize, cfg.HiddenSize, 1, 16)
	}
	return m
}
