package gemma2_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// tolerance of logits: float32 rounding alone makes up to 4.4e-4 on these models (their README), any mistake far more.
const tolerance = 2e-3

// expected is a file of reference tensors.
type expected struct {
	t    *testing.T
	file *safetensors.File
}

func readExpected(t *testing.T, path string) expected {
	t.Helper()
	f, err := safetensors.Parse(golden.Read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return expected{t, f}
}

func (e expected) has(name string) bool { _, ok := e.file.Tensor(name); return ok }

// floats returns the rows of a float32 tensor; its leading dimensions are joined.
func (e expected) floats(name string) [][]float32 {
	e.t.Helper()
	x, ok := e.file.Tensor(name)
	if !ok || x.DType != "F32" {
		e.t.Fatalf("reference tensor %s: missing or not float32", name)
	}
	width := x.Shape[len(x.Shape)-1]
	all := make([]float32, len(x.Data)/4)
	for i := range all {
		all[i] = math.Float32frombits(binary.LittleEndian.Uint32(x.Data[4*i:]))
	}
	return slices.Collect(slices.Chunk(all, width))
}

func (e expected) ids(name string) []int32 {
	e.t.Helper()
	x, ok := e.file.Tensor(name)
	if !ok || x.DType != "I32" {
		e.t.Fatalf("reference tensor %s: missing or not int32", name)
	}
	ids := make([]int32, len(x.Data)/4)
	for i := range ids {
		ids[i] = int32(binary.LittleEndian.Uint32(x.Data[4*i:]))
	}
	return ids
}

// model is an opened reference model.
type model struct {
	*gemma2.Model
	t    *testing.T
	pool *gemma2.Pool
}

func open(t *testing.T, path string, threads int, kv gemma2.KVType, o gemma2.Options) model {
	t.Helper()
	ck, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	crew := parallel.New(threads)
	w, err := load.Weights(ck, crew)
	if err != nil {
		t.Fatal(err)
	}
	m, err := gemma2.New(w.Weights, crew, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(); w.Close(); crew.Close(); _ = ck.Close() })
	return model{m, t, gemma2.NewPool(&ck.Config, kv, 0)}
}

// feed runs ids in chunks after what c holds and returns their logits.
func (m model) feed(c *gemma2.Cache, ids []int32, chunk int) [][]float32 {
	m.t.Helper()
	var all [][]float32
	for part := range slices.Chunk(ids, min(chunk, gemma2.MaxRows)) {
		err := m.Forward(context.Background(), []gemma2.Chunk{{Cache: c, Tokens: part, Logits: len(part)}}, func(_, _ int, logits []float32) error {
			all = append(all, slices.Clone(logits))
			return nil
		})
		if err != nil {
			m.t.Fatal(err)
		}
	}
	return all
}

func (m model) logits(ids []int32) [][]float32 { return m.feed(m.pool.NewCache(), ids, gemma2.MaxRows) }

// greedy continues prompt by n tokens.
func (m model) greedy(prompt []int32, n int) []int32 {
	c := m.pool.NewCache()
	ids := slices.Clone(prompt)
	next := prompt
	for range n {
		rows := m.feed(c, next, gemma2.MaxRows)
		best := best(rows[len(rows)-1])
		ids = append(ids, best)
		next = []int32{best}
	}
	return ids
}

func best(x []float32) int32 { return int32(slices.Index(x, slices.Max(x))) }

// near compares rows and returns the largest difference.
func near(t *testing.T, what string, got, want [][]float32, limit float64) (worst float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
	}
	for r := range want {
		if len(got[r]) < len(want[r]) {
			t.Fatalf("%s: row of %d values, want %d", what, len(got[r]), len(want[r]))
		}
		for i, w := range want[r] {
			d := math.Abs(float64(got[r][i]) - float64(w))
			worst = max(worst, d)
			if !(d <= limit) {
				t.Fatalf("%s: row %d, value %d is %g, want %g within %g", what, r, i, got[r][i], w, limit)
			}
		}
	}
	return worst
}

func same(a, b [][]float32) bool { return slices.EqualFunc(a, b, slices.Equal[[]float32]) }

func TestGoldenModels(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(golden.Dir(t, "models"), "*", "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) { cases += goldenModel(t, dir) })
	}
	golden.Count(t, cases)
}

// goldenModel compares one model with everything that the reference computed on it and returns the number of values.
func goldenModel(t *testing.T, dir string) (cases int) {
	want := readExpected(t, filepath.Join(dir, "expected.safetensors"))
	var about struct {
		PrefixLengths []int `json:"prefix_lengths"`
	}
	if err := json.Unmarshal(golden.Read(t, filepath.Join(dir, "expected.json")), &about); err != nil {
		t.Fatal(err)
	}
	m := open(t, dir, 2, gemma2.KVF32, gemma2.Options{})
	ids, logits := want.ids("input_ids"), want.floats("logits")

	layers := m.Config().NumLayers
	m.Probe(func(name string, layer int, row func(int) []float32, n int) {
		key := fmt.Sprintf("hidden.%d", layer)
		if name == "hidden" && n == len(ids) && want.has(key) && layer < layers {
			var got [][]float32
			for i := range n {
				got = append(got, row(i))
			}
			near(t, key, got, want.floats(key), tolerance)
			cases++
		}
	})
	got := m.logits(ids)
	t.Logf("largest difference of logits: %.2g", near(t, "logits", got, logits, tolerance))
	cases += len(logits)
	m.Probe(func(string, int, func(int) []float32, int) {})

	for _, k := range about.PrefixLengths {
		rows := m.logits(ids[:k])
		near(t, fmt.Sprintf("prefix of %d", k), rows[k-1:], logits[k-1:k], tolerance)
		cases++
	}
	if greedy := want.ids("greedy_ids"); !slices.Equal(m.greedy(greedy[:12], len(greedy)-12), greedy) {
		t.Errorf("greedy ids: got %v, want %v", m.greedy(greedy[:12], len(greedy)-12), greedy)
	}
	cases++
	scores := want.floats("score_logprobs")[0]
	for i, w := range scores {
		row := got[i]
		lp := float64(row[ids[i+1]]) - sampler.LogSumExp(row)
		if math.Abs(lp-float64(w)) > tolerance {
			t.Errorf("log-probability of token %d = %g, want %g", i+1, lp, w)
		}
		cases++
	}
	rounded := open(t, dir, 1, gemma2.KVF32, gemma2.Options{RoundEmbedScale: true})
	last := want.floats("logits_scale_bf16")
	near(t, "logits with a bf16 embedding scale", rounded.logits(ids)[len(ids)-len(last):], last, tolerance)

	// The same bits in chunks of 1, 3, 7 and 64, with 1, 2 and 4 threads.
	for _, threads := range []int{1, 2, 4} {
		mt := open(t, dir, threads, gemma2.KVF32, gemma2.Options{})
		for _, chunk := range []int{1, 3, 7, 64} {
			if !same(mt.feed(mt.pool.NewCache(), ids, chunk), got) {
				t.Errorf("%d threads, chunks of %d: bits differ", threads, chunk)
			}
		}
	}
	return cases
}

// Every step of every layer, on the model that has them.
func TestGoldenActivations(t *testing.T) {
	dir := filepath.Join(golden.Dir(t, "models"), "9b-like-f32")
	want := readExpected(t, filepath.Join(dir, "activations.safetensors"))
	m := open(t, dir, 1, gemma2.KVF32, gemma2.Options{})
	ids := readExpected(t, filepath.Join(dir, "expected.safetensors")).ids("input_ids")[:12]
	cases := 0
	compare := func(key string, row func(int) []float32, n int) {
		if !want.has(key) {
			return
		}
		ref := want.floats(key)
		var got [][]float32
		for i := range n {
			got = append(got, row(i))
		}
		near(t, key, got, ref, tolerance)
		cases++
	}
	dim := m.Config().HeadDim
	m.Probe(func(name string, layer int, row func(int) []float32, n int) {
		switch {
		case name == "hidden" && layer == 0:
			compare("embed_scaled", row, n)
		case name == "hidden":
			compare(fmt.Sprintf("layer.%d.out", layer-1), row, n)
		case name == "final_norm":
			compare("final_norm", row, n)
		case name == "q_rope": // [heads][n][dim] there, [n][heads][dim padded] here
			ref := want.floats(fmt.Sprintf("layer.%d.q_rope", layer))
			stride := (dim + 15) &^ 15
			for h := range m.Config().NumHeads {
				for i := range n {
					near(t, fmt.Sprintf("q_rope layer %d head %d", layer, h), [][]float32{row(i)[h*stride : h*stride+dim]}, ref[h*n+i:h*n+i+1], tolerance)
				}
			}
			cases++
		default:
			compare(fmt.Sprintf("layer.%d.%s", layer, name), row, n)
		}
	})
	near(t, "logits", m.logits(ids), want.floats("logits"), tolerance)
	if least := 8 * m.Config().NumLayers; cases < least {
		t.Errorf("compared %d activations, want at least %d: names of probes and reference have drifted apart", cases, least)
	}
	golden.Count(t, cases)
}

// A cache kept over the turns of a conversation, fed in any way, gives the logits of a fresh run.
func TestGoldenCache(t *testing.T) {
	dir := golden.Dir(t, "cache")
	want := readExpected(t, filepath.Join(dir, "expected.safetensors"))
	var about struct {
		BranchStart int `json:"branch_logits_start_at"`
	}
	if err := json.Unmarshal(golden.Read(t, filepath.Join(dir, "expected.json")), &about); err != nil {
		t.Fatal(err)
	}
	m := open(t, filepath.Join(dir, "model"), 2, gemma2.KVF32, gemma2.Options{})
	ids, logits := want.ids("input_ids"), want.floats("logits")
	cases := 0
	var first [][]float32
	for _, chunk := range []int{1, 3, 7, 8, 9, 64, 70} {
		got := m.feed(m.pool.NewCache(), ids, chunk)
		near(t, fmt.Sprintf("chunks of %d", chunk), got, logits, tolerance)
		if first == nil {
			first = got
		}
		if !same(got, first) {
			t.Errorf("chunks of %d: bits differ from chunks of 1", chunk)
		}
		cases += len(got)
	}
	// The second turn asked differently: row 0 of branch.logits belongs to position branch_logits_start_at.
	branch, ref := want.ids("branch.input_ids"), want.floats("branch.logits")
	c := m.pool.NewCache()
	m.feed(c, ids, 70)
	shared := 0
	for shared < len(branch) && branch[shared] == ids[shared] {
		shared++
	}
	if !c.Truncate(shared) {
		c = m.pool.NewCache() // the window's pages are gone: computed again
		m.feed(c, ids[:shared], 70)
	}
	got := append(first[:shared:shared], m.feed(c, branch[shared:], 5)...)
	near(t, "branch", got[about.BranchStart:], ref, tolerance)
	golden.Count(t, cases+len(ref))
}

// GGUF files of every type, and mixed ones (kquants): float32 arithmetic on the dequantised weights. testdata lacks the latter,
// which are large; every type in them is compared with its blocks' values in packages blocks and load.
func TestGoldenGGUF(t *testing.T) {
	root := golden.Dir(t, "gguf")
	cases := 0
	for dir, names := range map[string][]string{
		root:                           {"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"},
		filepath.Join(root, "kquants"): {"q4_k_m", "q3_k_m", "q2_k", "iq4_xs"},
	} {
		if _, err := os.Stat(dir); os.IsNotExist(err) && os.Getenv("SYSTEMGEMMA_GOLDEN") == "" {
			t.Logf("not run here: %s (not in testdata)", dir)
			continue
		}
		want := readExpected(t, filepath.Join(dir, "expected.safetensors"))
		for _, name := range names {
			cases += checkGGUF(t, filepath.Join(dir, name+".gguf"), name, want)
		}
	}
	golden.Count(t, cases)
}

// checkGGUF compares one file's logits and greedy ids with what is expected of its name, and counts them. Of rounded activations
// the reference has nothing: their difference is logged.
func checkGGUF(t *testing.T, path, name string, want expected) int {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	ids, logits := want.ids("input_ids"), want.floats(name+".logits")
	m := open(t, path, 2, gemma2.KVF32, gemma2.Options{Exact: true})
	t.Logf("%s: largest difference %.2g", name, near(t, name, m.logits(ids), logits, tolerance))
	greedy := want.ids(name + ".greedy_ids")
	if got := m.greedy(greedy[:8], len(greedy)-8); !slices.Equal(got, greedy) {
		t.Errorf("%s: greedy ids %v, want %v", name, got, greedy)
	}
	if name[0] == 'q' || name[0] == 'i' {
		rounded := open(t, path, 2, gemma2.KVF32, gemma2.Options{})
		t.Logf("%s: activations rounded per 32: largest difference %.2g, greedy ids %v", name, near(t, name, rounded.logits(ids), logits, math.Inf(1)),
			slices.Equal(rounded.greedy(greedy[:8], len(greedy)-8), greedy))
	}
	return len(ids) + 1
}
