package load_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/peft"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// tolerance of logits, in float32 arithmetic. The reference's own ways to compute are up to 1.2e-4 apart; adapters move these
// logits by 11 to 40.
const tolerance = 1e-3

// loraBase is the model that the golden adapters are for.
type loraBase struct {
	t    *testing.T
	dir  string
	ck   *checkpoint.Checkpoint
	crew *parallel.Crew
	w    *load.Loaded
	*gemma2.Model
	pool *gemma2.Pool
}

func openBase(t *testing.T, threads int) *loraBase {
	t.Helper()
	t.Chdir(filepath.Join("..", "checkpoint", "peft")) // whose testdata is the sample
	return openBaseHere(t, golden.Dir(t, "lora"), threads)
}

func openBaseHere(t *testing.T, dir string, threads int) *loraBase {
	t.Helper()
	b := &loraBase{t: t, dir: dir, crew: parallel.New(threads)}
	var err error
	if b.ck, err = checkpoint.Open(filepath.Join(dir, "base")); err != nil {
		t.Fatal(err)
	}
	if b.w, err = load.Weights(b.ck, b.crew); err != nil {
		t.Fatal(err)
	}
	b.Model, b.pool = b.model(b.w.Weights)
	t.Cleanup(func() { b.w.Close(); b.crew.Close(); _ = b.ck.Close() })
	return b
}

func (b *loraBase) model(w *gemma2.Weights) (*gemma2.Model, *gemma2.Pool) {
	b.t.Helper()
	m, err := gemma2.New(w, b.crew, gemma2.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = m.Close() })
	return m, gemma2.NewPool(&w.Config, gemma2.KVF32, 0)
}

// use names an adapter of the folder at a scale.
type use struct {
	name  string
	scale float32
}

func (b *loraBase) open(name string) *peft.Adapter {
	b.t.Helper()
	a, err := peft.Open(filepath.Join(b.dir, name), &b.ck.Config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = a.Close() })
	return a
}

// set arranges adapters for run time.
func (b *loraBase) set(uses ...use) *gemma2.AdapterSet {
	b.t.Helper()
	var list []gemma2.AdapterUse
	for _, u := range uses {
		a, err := load.Adapter(b.open(u.name), b.w.Weights, b.crew)
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, gemma2.AdapterUse{Adapter: a, Scale: u.scale})
	}
	s, err := b.NewAdapterSet(list)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// merged makes weights of float32 with adapters merged into them.
func (b *loraBase) merged(uses ...use) *gemma2.Weights {
	b.t.Helper()
	var list []peft.Use
	for _, u := range uses {
		list = append(list, peft.Use{Adapter: b.open(u.name), Scale: u.scale})
	}
	m, err := peft.NewMerger(list, b.ck.NormPlusOne)
	if err != nil {
		b.t.Fatal(err)
	}
	w := *b.w.Weights
	w.Layers = slices.Clone(w.Layers)
	b.matrix(m, "token_embd.weight", &w.Embed)
	if w.Head = w.Embed; m.Unties() {
		w.Head = b.w.Head
		w.Config.TieEmbeddings = false
		b.matrix(m, "output.weight", &w.Head)
	}
	b.norm(m, "output_norm.weight", &w.FinalNorm)
	for i := range w.Layers {
		l := &w.Layers[i]
		for name, dst := range map[string]**quant.Matrix{
			"attn_q": &l.Q, "attn_k": &l.K, "attn_v": &l.V, "attn_output": &l.O, "ffn_gate": &l.Gate, "ffn_up": &l.Up, "ffn_down": &l.Down,
		} {
			b.matrix(m, fmt.Sprintf("blk.%d.%s.weight", i, name), dst)
		}
		for name, dst := range map[string]*[]float32{
			"attn_norm": &l.AttnNorm, "post_attention_norm": &l.PostAttnNorm, "ffn_norm": &l.FFNNorm, "post_ffw_norm": &l.PostFFNNorm,
		} {
			b.norm(m, fmt.Sprintf("blk.%d.%s.weight", i, name), dst)
		}
	}
	return &w
}

func (b *loraBase) matrix(m *peft.Merger, name string, dst **quant.Matrix) {
	b.t.Helper()
	x, block, err := quant.New(quant.F32, (*dst).Rows, (*dst).Cols)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = block.Free() })
	row := make([]float32, x.Cols)
	for r := range x.Rows {
		(*dst).Row(row, r)
		if err := m.Row(name, r, row); err != nil {
			b.t.Fatal(err)
		}
		x.PackRow(r, row)
	}
	*dst = x
}

func (b *loraBase) norm(m *peft.Merger, name string, dst *[]float32) {
	b.t.Helper()
	if !m.Touches(name) {
		return
	}
	t, _ := b.ck.Tensor(name)
	v := make([]float32, len(*dst))
	row := v[:t.Columns()]
	if err := t.Row(row, 0); err != nil {
		b.t.Fatal(err)
	}
	if err := m.Row(name, 0, row); err != nil {
		b.t.Fatal(err)
	}
	for i := range row {
		row[i]++
	}
	*dst = v
}

// feed runs ids in chunks after what c holds.
func (b *loraBase) feed(m *gemma2.Model, c *gemma2.Cache, ids []int32, set *gemma2.AdapterSet, chunk int) (all [][]float32) {
	b.t.Helper()
	for part := range slices.Chunk(ids, chunk) {
		err := m.Forward(context.Background(), []gemma2.Chunk{{Cache: c, Tokens: part, Logits: len(part), Adapters: set}}, func(_, _ int, l []float32) error {
			all = append(all, slices.Clone(l))
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	return all
}

func (b *loraBase) greedy(m *gemma2.Model, pool *gemma2.Pool, prompt []int32, n int, set *gemma2.AdapterSet) []int32 {
	c, ids, next := pool.NewCache(), slices.Clone(prompt), prompt
	for range n {
		rows := b.feed(m, c, next, set, 5)
		last := rows[len(rows)-1]
		next = []int32{int32(slices.Index(last, slices.Max(last)))}
		ids = append(ids, next[0])
	}
	return ids
}

// reference is a file of expected tensors.
type reference struct {
	t *testing.T
	*safetensors.File
}

func readReference(t *testing.T, path string) reference {
	t.Helper()
	f, err := safetensors.Parse(golden.Read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return reference{t, f}
}

// words are a tensor's 32-bit numbers.
func words[T int32 | float32](r reference, name string, of func(uint32) T) (list []T) {
	r.t.Helper()
	x, ok := r.Tensor(name)
	if !ok {
		r.t.Fatalf("no tensor %s", name)
	}
	for i := 0; i < len(x.Data); i += 4 {
		list = append(list, of(binary.LittleEndian.Uint32(x.Data[i:])))
	}
	return list
}

func (r reference) ids(name string) []int32 {
	r.t.Helper()
	return words(r, name, func(u uint32) int32 { return int32(u) })
}

// near compares logits with a tensor of r and returns the largest difference.
func (r reference) near(what string, got [][]float32, name string) (worst float64) {
	r.t.Helper()
	want := words(r, name, math.Float32frombits)
	flat := slices.Concat(got...)
	if len(flat) != len(want) {
		r.t.Fatalf("%s: %d logits, want %d", what, len(flat), len(want))
	}
	for i, w := range want {
		worst = max(worst, math.Abs(float64(flat[i])-float64(w)))
	}
	if !(worst <= tolerance) {
		r.t.Errorf("%s: largest difference of logits %g, want at most %g", what, worst, tolerance)
	}
	return worst
}

func distance(a, b [][]float32) (worst float64) {
	x, y := slices.Concat(a...), slices.Concat(b...)
	for i := range x {
		worst = max(worst, math.Abs(float64(x[i])-float64(y[i])))
	}
	return worst
}

func TestGoldenLoRA(t *testing.T) {
	b := openBase(t, 2)
	ids := readReference(t, filepath.Join(b.dir, "base", "expected.safetensors")).ids("input_ids")
	files, err := filepath.Glob(filepath.Join(b.dir, "*", "adapter_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	cases, worstRun, worstMerged, worstBoth := 0, 0.0, 0.0, 0.0
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		if strings.HasPrefix(name, "refuse-") {
			continue
		}
		want := readReference(t, filepath.Join(b.dir, name, "expected.safetensors"))
		set := b.set(use{name, 1})
		run := b.feed(b.Model, b.pool.NewCache(), ids, set, len(ids))
		worstRun = max(worstRun, want.near(name+", at run time", run, "logits"))
		m, pool := b.model(b.merged(use{name, 1}))
		merged := b.feed(m, pool.NewCache(), ids, nil, len(ids))
		worstMerged = max(worstMerged, want.near(name+", merged", merged, "logits"))
		if _, ok := want.Tensor("logits_merged_last4"); ok {
			want.near(name+", merged, last four", merged[len(merged)-4:], "logits_merged_last4")
			cases++
		}
		worstBoth = max(worstBoth, distance(run, merged))
		greedy := want.ids("greedy_ids")
		if got := b.greedy(b.Model, b.pool, greedy[:8], len(greedy)-8, set); !slices.Equal(got, greedy) {
			t.Errorf("%s: greedy ids %v, want %v", name, got, greedy)
		}
		if got := b.greedy(m, pool, greedy[:8], len(greedy)-8, nil); !slices.Equal(got, greedy) {
			t.Errorf("%s, merged: greedy ids %v, want %v", name, got, greedy)
		}
		cases += 4
		if _, ok := want.Tensor("logits_scale_0.5"); ok {
			half := b.feed(b.Model, b.pool.NewCache(), ids, b.set(use{name, 0.5}), len(ids))
			want.near(name+" at half strength", half, "logits_scale_0.5")
			cases++
		}
	}
	cases += combined(t, b, ids)
	t.Logf("largest differences: run time %.2g, merged %.2g, between them %.2g", worstRun, worstMerged, worstBoth)
	golden.Count(t, cases)
}

// combined compares several adapters at once with W + the sum of weight times change.
func combined(t *testing.T, b *loraBase, ids []int32) (cases int) {
	t.Helper()
	var index struct {
		Combinations map[string]struct {
			Parts []struct {
				Adapter string
				Weight  float32
			}
		}
	}
	if err := json.Unmarshal(golden.Read(t, filepath.Join(b.dir, "index.json")), &index); err != nil {
		t.Fatal(err)
	}
	for file, c := range index.Combinations {
		if _, err := os.Stat(filepath.Join(b.dir, file)); err != nil && os.Getenv("SYSTEMGEMMA_GOLDEN") == "" {
			continue // not in the sample
		}
		var uses []use
		for _, p := range c.Parts {
			uses = append(uses, use{p.Adapter, p.Weight})
		}
		want := readReference(t, filepath.Join(b.dir, file))
		want.near(file+", at run time", b.feed(b.Model, b.pool.NewCache(), ids, b.set(uses...), len(ids)), "logits")
		m, pool := b.model(b.merged(uses...))
		want.near(file+", merged", b.feed(m, pool.NewCache(), ids, nil, len(ids)), "logits")
		cases += 2
	}
	return cases
}

// Sequences with different adapters in one batch get the bits that each gets alone, in any chunks, with any number of threads,
// on weights of float32 and of int8.
func TestGoldenLoRABits(t *testing.T) {
	b := openBase(t, 2)
	ids := readReference(t, filepath.Join(b.dir, "base", "expected.safetensors")).ids("input_ids")
	cases := 0
	for _, layout := range []quant.Layout{quant.F32, quant.W8C} {
		var want [][][]float32
		for _, threads := range []int{1, 2, 4} {
			x := openBaseHere(t, b.dir, threads)
			x.repack(layout)
			sets := []*gemma2.AdapterSet{nil, x.set(use{"plain-r4-qv", 1}), x.set(use{"dora-r4", 1}), x.set(use{"plain-r4-qv", 0.5}, use{"dora-r4", -0.75})}
			if want == nil {
				for _, s := range sets {
					want = append(want, x.feed(x.Model, x.pool.NewCache(), ids, s, len(ids)))
				}
				for i := range want[1:] {
					if distance(want[0], want[i+1]) < 1 {
						t.Fatalf("set %d changes nothing", i+1)
					}
				}
			}
			for i, s := range sets {
				for _, chunk := range []int{1, 3, 7} {
					if !slices.EqualFunc(x.feed(x.Model, x.pool.NewCache(), ids, s, chunk), want[i], slices.Equal[[]float32]) {
						t.Errorf("%v, %d threads, set %d, chunks of %d: bits differ", layout, threads, i, chunk)
					}
					cases++
				}
			}
			if got := x.together(ids, sets); !slices.EqualFunc(got, want, func(a, b [][]float32) bool { return slices.EqualFunc(a, b, slices.Equal[[]float32]) }) {
				t.Errorf("%v, %d threads: bits of sequences in one batch differ", layout, threads)
			}
			cases += len(sets)
		}
	}
	golden.Count(t, cases)
}

// repack changes all matrices to a layout.
func (b *loraBase) repack(l quant.Layout) {
	b.t.Helper()
	w := *b.w.Weights
	w.Layers = slices.Clone(w.Layers)
	list := []**quant.Matrix{&w.Embed}
	for i := range w.Layers {
		x := &w.Layers[i]
		list = append(list, &x.Q, &x.K, &x.V, &x.O, &x.Gate, &x.Up, &x.Down)
	}
	for _, dst := range list {
		x, block, err := quant.New(l, (*dst).Rows, (*dst).Cols)
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = block.Free() })
		row := make([]float32, x.Cols)
		for r := range x.Rows {
			(*dst).Row(row, r)
			x.PackRow(r, row)
		}
		*dst = x
	}
	w.Head = w.Embed
	*b.w.Weights = w
	b.Model, b.pool = b.model(&w)
}

// together runs a sequence for each set, all in every pass, the first ones ahead of the others.
func (b *loraBase) together(ids []int32, sets []*gemma2.AdapterSet) [][][]float32 {
	b.t.Helper()
	got := make([][][]float32, len(sets))
	caches := make([]*gemma2.Cache, len(sets))
	for i := range caches {
		caches[i] = b.pool.NewCache()
	}
	for step := 0; ; step++ {
		var chunks []gemma2.Chunk
		var who []int
		for i, s := range sets {
			if at := caches[i].Len(); at < len(ids) {
				n := min(1+(i+step)%4, len(ids)-at)
				chunks, who = append(chunks, gemma2.Chunk{Cache: caches[i], Tokens: ids[at : at+n], Logits: n, Adapters: s}), append(who, i)
			}
		}
		if chunks == nil {
			return got
		}
		parts := make([][][]float32, len(chunks)) // readers of different chunks run at the same time
		err := b.Forward(context.Background(), chunks, func(chunk, _ int, l []float32) error {
			parts[chunk] = append(parts[chunk], slices.Clone(l))
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
		for i, rows := range parts {
			got[who[i]] = append(got[who[i]], rows...)
		}
	}
}
