package systemgemma_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// loraDir is the golden set; its sample belongs to the package that reads adapters.
func loraDir(t testing.TB) string {
	t.Helper()
	t.Chdir(filepath.Join("internal", "checkpoint", "peft"))
	return golden.Dir(t, "lora")
}

func openAdapter(t testing.TB, m *systemgemma.Model, path string) *systemgemma.Adapter {
	t.Helper()
	a, err := m.OpenAdapter(path)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// continueIDs continues ids greedily by n tokens.
func continueIDs(t testing.TB, m *systemgemma.Model, ids []int32, n int, uses ...systemgemma.AdapterUse) []int32 {
	t.Helper()
	o := &systemgemma.GenerateOptions{Sampling: &systemgemma.Sampling{}, MaxTokens: n, IgnoreEOS: true, Adapters: uses}
	for e, err := range m.Generate(context.Background(), systemgemma.Prompt{IDs: ids}, o) {
		if err != nil {
			t.Error(err)
			return nil
		}
		if e.Result != nil {
			return e.Result.IDs
		}
	}
	t.Error("no result")
	return nil
}

func tensor(t testing.TB, file, name string) (words []uint32) {
	t.Helper()
	f, err := safetensors.Parse(golden.Read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	x, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("%s: no tensor %s", file, name)
	}
	for i := 0; i < len(x.Data); i += 4 {
		words = append(words, binary.LittleEndian.Uint32(x.Data[i:]))
	}
	return words
}

func ids(words []uint32) (ids []int32) {
	for _, w := range words {
		ids = append(ids, int32(w))
	}
	return ids
}

// Every golden adapter answers as the reference does, all of them on one model, side by side with the model alone.
func TestGoldenAdapters(t *testing.T) {
	dir := loraDir(t)
	m := open(t, filepath.Join(dir, "base"), nil)
	base := ids(tensor(t, filepath.Join(dir, "base", "expected.safetensors"), "greedy_ids"))
	files, err := filepath.Glob(filepath.Join(dir, "*", "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	var wg sync.WaitGroup
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		want := ids(tensor(t, file, "greedy_ids"))
		var uses []systemgemma.AdapterUse
		if name != "base" {
			uses = []systemgemma.AdapterUse{{Adapter: openAdapter(t, m, filepath.Dir(file))}}
		}
		cases++
		wg.Go(func() {
			if got := continueIDs(t, m, want[:8], len(want)-8, uses...); !slices.Equal(got, want[8:]) {
				t.Errorf("%s: %v, want %v", name, got, want[8:])
			}
			if got := continueIDs(t, m, base[:8], len(base)-8); !slices.Equal(got, base[8:]) {
				t.Errorf("without an adapter, beside %s: %v, want %v", name, got, base[8:])
			}
		})
	}
	wg.Wait()
	golden.Count(t, cases)
}

func TestGoldenAdapterScores(t *testing.T) {
	dir := loraDir(t)
	m := open(t, filepath.Join(dir, "base"), nil)
	plain := openAdapter(t, m, filepath.Join(dir, "plain-r4-qv"))
	in := ids(tensor(t, filepath.Join(dir, "base", "expected.safetensors"), "input_ids"))
	for scale, name := range map[float32]string{0: "logits", 1: "logits", 0.5: "logits_scale_0.5"} {
		want := tensor(t, filepath.Join(dir, "plain-r4-qv", "expected.safetensors"), name)
		use := systemgemma.AdapterUse{Adapter: plain, Scale: scale}
		at, sum := 0, 0.0
		err := m.Logits(context.Background(), in, func(pos int, logits []float32) error {
			for _, x := range logits {
				if d := math.Abs(float64(x) - float64(math.Float32frombits(want[at]))); !(d <= 1e-3) {
					t.Fatalf("scale %g, position %d: logit is %g away", scale, pos, d)
				}
				at++
			}
			if pos+1 < len(in) {
				most, all := float64(slices.Max(logits)), 0.0
				for _, x := range logits {
					all += math.Exp(float64(x) - most)
				}
				sum += float64(logits[in[pos+1]]) - most - math.Log(all)
			}
			return nil
		}, use)
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Score(context.Background(), in, 1, use)
		if err != nil || math.Abs(s.Sum-sum) > 1e-6 {
			t.Errorf("scale %g: score %+v, %v; want a sum of %g", scale, s, err, sum)
		}
	}
	golden.Count(t, 3)
}

func TestGoldenAdapterMisuse(t *testing.T) {
	dir := loraDir(t)
	m, other := open(t, filepath.Join(dir, "base"), nil), open(t, "", nil)
	a := openAdapter(t, m, filepath.Join(dir, "plain-r4-qv.gguf"))
	i := a.Info()
	if len(i.Parameters) != 4 || i.Parameters[0] != "blk.0.attn_q.weight" || len(i.Digest) != 64 || i.Path == "" {
		t.Errorf("info %+v", i)
	}
	if _, err := json.Marshal(i); err != nil {
		t.Error(err)
	}
	for want, call := range map[string]func() error{
		"was opened for another model": func() error {
			_, err := other.Score(context.Background(), []int32{2, 3}, 1, systemgemma.AdapterUse{Adapter: a})
			return err
		},
		"adapter 0: want one of OpenAdapter": func() error {
			_, err := m.Score(context.Background(), []int32{2, 3}, 1, systemgemma.AdapterUse{})
			return err
		},
		"want at most 8 at once, found 9": func() error {
			_, err := m.Score(context.Background(), []int32{2, 3}, 1, slices.Repeat([]systemgemma.AdapterUse{{Adapter: a}}, 9)...)
			return err
		},
		"want 4x192 for this base model, found 4x48": func() error { _, err := other.OpenAdapter(filepath.Join(dir, "plain-r4-qv.gguf")); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.OpenAdapter(filepath.Join(dir, "plain-r4-qv")); !errors.Is(err, systemgemma.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
	golden.Count(t, 6)
}
