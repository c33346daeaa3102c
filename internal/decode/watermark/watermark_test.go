package watermark

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

type goldenCase struct {
	Case   string
	Config struct {
		NgramLen  int     `json:"ngram_len"`
		Keys      []int64 `json:"keys"`
		TableSize int     `json:"sampling_table_size"`
		TableSeed uint32  `json:"sampling_table_seed"`
		History   int     `json:"context_history_size"`
		SkipFirst bool    `json:"skip_first_ngram_calls"`
	}
	TableFirst64 string `json:"table_first_64"`
	TableOnes    int    `json:"table_ones"`
	Vocab        int
	Steps        []struct {
		InputIDs  []int32 `json:"input_ids"`
		Context   []int32
		Unchanged bool
	}
	Detect []struct {
		IDs      []int32
		G        []string `json:"g_values"`
		Mask     string
		Mean     *float64 `json:"mean_g"`
		Weighted *float64 `json:"weighted_mean_g"`
	}
	ExpectedMeanG float64 `json:"expected_mean_g"`
}

func (c goldenCase) config() Config {
	return Config{c.Config.Keys, c.Config.NgramLen, c.Config.History, c.Config.TableSize, c.Config.TableSeed, c.Config.SkipFirst}
}

// TestGoldenSynthID compares tables, every step and the detector with transformers.
func TestGoldenSynthID(t *testing.T) {
	dir := golden.Dir(t, "sampling")
	tensors := readTensors(t, filepath.Join(dir, "synthid.safetensors"))
	steps, texts := 0, 0
	for c := range golden.Lines[goldenCase](t, filepath.Join(dir, "synthid.json.gz")) {
		c.compareTable(t)
		m, err := New(c.config())
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range c.Steps {
			if i > 0 {
				m.Accept(s.InputIDs[len(s.InputIDs)-1])
			}
			if !slices.Equal(m.context, s.Context) {
				t.Fatalf("%s step %d: context %v, want %v", c.Case, i, m.context, s.Context)
			}
			key := fmt.Sprintf("%s.%d.", c.Case, i)
			compareStep(t, m, key, tensors[key+"scores"], tensors[key+"updated"], !s.Unchanged)
			steps++
		}
		for _, d := range c.Detect {
			e, err := Detect(c.config(), d.IDs, []int32{1})
			if err != nil {
				t.Fatal(err)
			}
			compareEvidence(t, c.Case, e, d.G, d.Mask, d.Mean, d.Weighted)
			texts++
		}
		if got := Expected(c.Vocab); math.Abs(got-c.ExpectedMeanG) > 1e-12 {
			t.Errorf("%s: expected mean %v, want %v", c.Case, got, c.ExpectedMeanG)
		}
	}
	t.Logf("%d steps, %d texts", steps, texts)
	golden.Count(t, steps+texts)
}

func (c goldenCase) compareTable(t *testing.T) {
	t.Helper()
	table := newTable(c.Config.TableSize, c.Config.TableSeed)
	ones, first := 0, ""
	for i, b := range table {
		ones += int(b)
		if i < 64 {
			first += string('0' + rune(b))
		}
	}
	if first != c.TableFirst64 || ones != c.TableOnes {
		t.Fatalf("%s: table begins %s with %d ones, want %s, %d", c.Case, first, ones, c.TableFirst64, c.TableOnes)
	}
}

func compareStep(t *testing.T, m *Marker, name string, scores, updated []float32, marked bool) {
	t.Helper()
	if len(scores) == 0 || len(scores) != len(updated) {
		t.Fatalf("%s: %d scores, %d updated", name, len(scores), len(updated))
	}
	probs, want := softmax(scores), softmax(updated)
	ids := make([]int32, len(probs))
	for i := range ids {
		ids[i] = int32(i)
	}
	if got := m.Mark(ids, probs); got != marked {
		t.Errorf("%s: marked %v, want %v", name, got, marked)
	}
	for i := range probs {
		if math.Abs(probs[i]-want[i]) > 2e-5 {
			t.Fatalf("%s: probability of token %d is %v, want %v", name, i, probs[i], want[i])
		}
	}
}

func compareEvidence(t *testing.T, name string, e *Evidence, g []string, mask string, mean, weighted *float64) {
	t.Helper()
	if len(e.G) != len(g) {
		t.Fatalf("%s: bits of %d positions, want %d", name, len(e.G), len(g))
	}
	for i := range g {
		for k := range g[i] {
			if e.G[i][k] != g[i][k]-'0' {
				t.Fatalf("%s: bits of position %d are %v, want %s", name, i, e.G[i], g[i])
			}
		}
		if e.Counts[i] != (mask[i] == '1') {
			t.Fatalf("%s: position %d counts: %v, want mask %s", name, i, e.Counts[i], mask)
		}
	}
	if mean == nil {
		if e.Positions != 0 {
			t.Errorf("%s: %d positions count, want none", name, e.Positions)
		}
		return
	}
	if math.Abs(e.Mean-*mean) > 1e-6 || math.Abs(e.WeightedMean-*weighted) > 1e-6 {
		t.Errorf("%s: means %v, %v, want %v, %v", name, e.Mean, e.WeightedMean, *mean, *weighted)
	}
}

func softmax(scores []float32) []float64 {
	top, sum := float64(slices.Max(scores)), 0.0
	probs := make([]float64, len(scores))
	for i, x := range scores {
		probs[i] = math.Exp(float64(x) - top)
		sum += probs[i]
	}
	for i := range probs {
		probs[i] /= sum
	}
	return probs
}

func readTensors(t *testing.T, path string) map[string][]float32 {
	t.Helper()
	b := golden.Read(t, path)
	n := binary.LittleEndian.Uint64(b)
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for name, h := range header {
		for data := b[8+n:][h.Offsets[0]:h.Offsets[1]]; len(data) > 0; data = data[4:] {
			all[name] = append(all[name], math.Float32frombits(binary.LittleEndian.Uint32(data)))
		}
	}
	return all
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{}, "keys: want 1 to 100, found 0"},
		{Config{Keys: make([]int64, 101)}, "keys: want 1 to 100, found 101"},
		{Config{Keys: []int64{1}, NgramLen: 1}, "ngram_len: want 0 (meaning 5) or 2 to 100, found 1"},
		{Config{Keys: []int64{1}, ContextHistory: -1}, "context_history_size: want 0"},
		{Config{Keys: []int64{1}, TableSize: 1<<24 + 1}, "sampling_table_size: want 0"},
	} {
		if _, err := New(c.c); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("New(%+v): error %v, want %q", c.c, err, c.want)
		}
		if _, err := Detect(c.c, nil, nil); err == nil {
			t.Errorf("Detect(%+v): no error", c.c)
		}
	}
}

// Any tokens, however few, give means between 0 and 1.
func FuzzDetect(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}, 5, 2, 17)
	f.Add([]byte{}, 0, 0, 0)
	f.Fuzz(func(t *testing.T, data []byte, ngram, history, table int) {
		ids := make([]int32, len(data))
		for i, b := range data {
			ids[i] = int32(b) - 3
		}
		e, err := Detect(Config{Keys: []int64{-1, 7}, NgramLen: ngram, ContextHistory: history % (1 << 12), TableSize: table % (1 << 12)}, ids, []int32{1})
		if err != nil {
			return
		}
		if e.Mean < 0 || e.Mean > 1 || e.WeightedMean < 0 || e.WeightedMean > 1+1e-12 || len(e.G) != len(e.Counts) || e.Positions > len(e.G) {
			t.Fatalf("evidence %+v", e)
		}
	})
}
