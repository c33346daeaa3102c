package systemgemma_test

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// Adapters that Convert merges give the reference's logits, in files of our own and in those for other programs.
func TestGoldenMerged(t *testing.T) {
	dir := loraDir(t)
	base := filepath.Join(dir, "base")
	in := ids(tensor(t, filepath.Join(base, "expected.safetensors"), "input_ids"))
	files, err := filepath.Glob(filepath.Join(dir, "*", "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		if name == "base" {
			continue
		}
		want := tensor(t, file, "logits")
		for _, to := range []string{systemgemma.FormatOwn, systemgemma.FormatSafetensors} {
			out := filepath.Join(t.TempDir(), "merged.gguf")
			o := &systemgemma.ConvertOptions{Output: out, Types: []string{"f32"}, To: to, Adapters: []systemgemma.AdapterFile{{Path: filepath.Dir(file), Scale: 1}}}
			r, err := systemgemma.Convert(context.Background(), base, o)
			if err != nil {
				t.Fatalf("%s to %s: %v", name, to, err)
			}
			if len(r.AdapterChanges) == 0 || r.AdapterChanges[0].Relative == 0 {
				t.Errorf("%s to %s: changes %+v", name, to, r.AdapterChanges)
			}
			m := open(t, out, nil)
			if to == systemgemma.FormatOwn && !strings.Contains(m.Info().Metadata["systemgemma.provenance.adapters"], name+" sha256:") {
				t.Errorf("%s: provenance %q does not name the adapter", name, m.Info().Metadata)
			}
			at := 0
			err = m.Logits(context.Background(), in, func(pos int, logits []float32) error {
				for _, x := range logits {
					if d := math.Abs(float64(x) - float64(math.Float32frombits(want[at]))); !(d <= 1e-3) {
						t.Fatalf("%s to %s: position %d: logit is %g away", name, to, pos, d)
					}
					at++
				}
				return nil
			})
			if err != nil || at != len(want) {
				t.Fatalf("%s to %s: %d of %d logits: %v", name, to, at, len(want), err)
			}
			cases++
		}
	}
	golden.Count(t, cases)
}

func TestMergeRefuses(t *testing.T) {
	dir := loraDir(t)
	base := filepath.Join(dir, "base")
	plain := filepath.Join(dir, "plain-r4-qv")
	for want, a := range map[string]systemgemma.AdapterFile{"refuse-shape": {Path: filepath.Join(dir, "refuse-shape"), Scale: 1}, "finite scale": {Path: plain, Scale: float32(math.NaN())}} {
		o := &systemgemma.ConvertOptions{Output: filepath.Join(t.TempDir(), "x.gguf"), Adapters: []systemgemma.AdapterFile{a}, Types: []string{"f32"}}
		if _, err := systemgemma.Convert(context.Background(), base, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
