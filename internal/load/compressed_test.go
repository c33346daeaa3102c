package load

import (
	"context"
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// A compressed-tensors folder runs with its own integers and scales: activations rounded by our rule (absmax/127), and not rounded.
func TestGoldenCompressedTensors(t *testing.T) {
	dir := filepath.Join(golden.Dir(t, "quant"), "compressed-tensors-w8a8")
	ck, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	expected, err := safetensors.Parse(golden.Read(t, filepath.Join(dir, "expected.safetensors")))
	if err != nil {
		t.Fatal(err)
	}
	values := func(name string) []uint32 {
		x, ok := expected.Tensor(name)
		if !ok {
			t.Fatalf("reference tensor %s: missing", name)
		}
		list := make([]uint32, len(x.Data)/4)
		for i := range list {
			list[i] = binary.LittleEndian.Uint32(x.Data[4*i:])
		}
		return list
	}
	var ids []int32
	for _, id := range values("input_ids") {
		ids = append(ids, int32(id))
	}
	cases := 0
	for name, exact := range map[string]bool{"logits_absmax_over_127_f64": false, "logits_weights_only_f64": true} {
		crew := parallel.New(2)
		defer crew.Close()
		w, err := Weights(ck, crew)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if l := w.Layers[1].Down.Layout; l != quant.W8C || w.Embed.Layout != quant.BF16 {
			t.Errorf("layouts %v, embedding %v", l, w.Embed.Layout)
		}
		m, err := gemma2.New(w.Weights, crew, gemma2.Options{Exact: exact})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		want := values(name)
		at := len(want) - len(ids)*ck.Config.VocabSize // the reference may have the last rows only
		worst := 0.0
		cache := gemma2.NewPool(&ck.Config, gemma2.KVF32, 0).NewCache()
		err = m.Forward(context.Background(), []gemma2.Chunk{{Cache: cache, Tokens: ids, Logits: len(ids)}}, func(_, row int, l []float32) error {
			for i, v := range l {
				if k := at + row*ck.Config.VocabSize + i; k >= 0 {
					worst = max(worst, math.Abs(float64(v)-float64(math.Float32frombits(want[k]))))
					cases++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !(worst <= 2e-3) {
			t.Errorf("%s: logits differ by up to %v, want 2e-3", name, worst)
		}
	}
	golden.Count(t, cases)
}
