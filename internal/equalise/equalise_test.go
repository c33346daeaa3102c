package equalise

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/convert"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/quality"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// outliers makes three columns of every norm's output 50 times as large, and what multiplies them as much smaller: activations as
// large models have them.
type outliers struct{}

var planted = []int{7, 130, 401}

func (outliers) Touches(name string) bool {
	return strings.Contains(name, "attn_norm") || strings.Contains(name, "ffn_norm") || strings.Contains(name, "attn_q") || strings.Contains(name, "attn_k.") ||
		strings.Contains(name, "attn_v") || strings.Contains(name, "ffn_gate") || strings.Contains(name, "ffn_up")
}

func (outliers) Unties() bool { return false }

func (outliers) Row(name string, _ int, row []float32) error {
	for _, k := range planted {
		if strings.Contains(name, "norm") {
			row[k] *= 50
		} else {
			row[k] /= 50
		}
	}
	return nil
}

func sequence(n int, seed uint64) (ids []int32) {
	r := rand.New(rand.NewPCG(seed, 3))
	for range n {
		ids = append(ids, int32(r.IntN(8192)))
	}
	return ids
}

// Equalised int8 weights predict far better where a few columns are large, on text that was not looked at, and the equalised model is the
// same model before rounding.
func TestEqualisedOutliers(t *testing.T) {
	sample.Skip(t)
	crew := parallel.New(2)
	defer crew.Close()
	ck, blocks, err := load.Synthetic("tiny", quant.Spec{Layout: quant.F32}, 1, crew)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, b := range blocks {
			_ = b.Free()
		}
	})
	// Its matrices as tensors of a source: a file of our own.
	dir := t.TempDir()
	source := filepath.Join(dir, "source.gguf")
	if err := convert.File(context.Background(), ck, source, convert.Options{Kinds: convert.Kinds{Type: quant.Spec{Layout: quant.F32}}, Change: outliers{}}, crew); err != nil {
		t.Fatal(err)
	}
	base := open(t, source)
	plain, err := load.NewReader(base, nil, crew)
	if err != nil {
		t.Fatal(err)
	}
	var last string
	var scales *Scales
	for range 2 {
		if scales, err = Find(context.Background(), plain, nil, base.NormPlusOne, [][]int32{sequence(40, 1), sequence(20, 2)}, crew, nil); err != nil {
			t.Fatal(err)
		}
		if last != "" && last != scales.ID() {
			t.Error("want the same factors again, found others")
		}
		last = scales.ID()
	}
	if scales.Norms() != 8 {
		t.Errorf("want all 8 norms changed, found %d", scales.Norms())
	}
	for name, f := range scales.norms {
		for _, k := range planted {
			if f[k] < 8 {
				t.Errorf("%s: column %d is 50 times as large: want a large factor, found %v", name, k, f[k])
			}
		}
	}
	groups := []quality.Group{{Name: "other text", Sequences: []quality.Sequence{{Tokens: sequence(40, 9)}}}}
	kl := func(change convert.Change, spec quant.Spec, name string) float64 {
		path := filepath.Join(dir, name)
		if err := convert.File(context.Background(), base, path, convert.Options{Kinds: convert.Kinds{Type: spec}, Change: change}, crew); err != nil {
			t.Fatal(err)
		}
		b, err := load.NewReader(open(t, path), nil, crew)
		if err != nil {
			t.Fatal(err)
		}
		r, err := quality.Compare(context.Background(), quality.Side{Reader: plain}, quality.Side{Reader: b}, groups, crew, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.All.KL
	}
	w8a8 := quant.Spec{Layout: quant.W8C}
	same, without, with := kl(scales, quant.Spec{Layout: quant.F32}, "same.gguf"), kl(nil, w8a8, "without.gguf"), kl(scales, w8a8, "with.gguf")
	t.Logf("KL: equalised float32 %g, w8a8 %g, equalised w8a8 %g", same, without, with)
	if same > 1e-8 {
		t.Errorf("before rounding: want the same model, found KL %g", same)
	}
	if with > without/4 {
		t.Errorf("want a quarter of w8a8's KL %g at most, found %g", without, with)
	}
}

func open(t *testing.T, path string) *checkpoint.Checkpoint {
	t.Helper()
	ck, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ck.Close() })
	return ck
}

// A source that stores norms as w, and a change before, are honoured.
func TestRow(t *testing.T) {
	s := &Scales{columns: map[string][]float32{"m": {2, 1}}, norms: map[string][]float32{"n": {2, 1}}, inner: outlierless{}}
	row := []float32{3, 4}
	for name, want := range map[string][]float32{"m": {6, 4}, "n": {1, 4}, "inner": {30, 40}} {
		x := slices.Clone(row)
		if err := s.Row(name, 0, x); err != nil || !slices.Equal(x, want) || !s.Touches(name) {
			t.Errorf("%s: want %v, found %v, %v", name, want, x, err)
		}
	}
	if s.Touches("other") || s.Unties() {
		t.Error("want other tensors left alone")
	}
	_, err := Find(context.Background(), nil, nil, false, nil, nil, nil)
	if err == nil {
		t.Error("no text: want an error, found none")
	}
}

type outlierless struct{}

func (outlierless) Touches(name string) bool { return name == "inner" }
func (outlierless) Unties() bool             { return false }
func (outlierless) Row(_ string, _ int, row []float32) error {
	for k := range row {
		row[k] *= 10
	}
	return nil
}
