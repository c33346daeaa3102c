package gemma2_test

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// How far rounded keys and values move the logits of the golden models, whose scores are large; f32 is within 3e-4. The
// limits are about twice what was measured, to notice a mistake: that makes 10 and more.
func TestGoldenKVTypes(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(golden.Dir(t, "models"), "*", "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, file := range dirs {
		dir := filepath.Dir(file)
		want := readExpected(t, file)
		ids, logits := want.ids("input_ids"), want.floats("logits")
		for kv, limit := range map[gemma2.KVType]float64{gemma2.KVF16: 1, gemma2.KVI8: 6} {
			m := open(t, dir, 2, kv, gemma2.Options{})
			got := m.logits(ids)
			worst, sum, n := 0.0, 0.0, 0
			for r := range logits {
				for i, w := range logits[r] {
					d := math.Abs(float64(got[r][i]) - float64(w))
					worst, sum, n = max(worst, d), sum+d, n+1
				}
			}
			if t.Logf("%s, KV %v: logits differ by %.2g at most, %.2g on average", filepath.Base(dir), kv, worst, sum/float64(n)); !(worst <= limit) || worst < 1e-3 {
				t.Errorf("%s, KV %v: logits differ by %.2g, want 0.001 to %g", filepath.Base(dir), kv, worst, limit)
			}
			if !same(m.feed(m.pool.NewCache(), ids, 7), got) {
				t.Errorf("%s, KV %v: bits differ in chunks of 7", filepath.Base(dir), kv)
			}
			cases++
		}
	}
	golden.Count(t, cases)
}
