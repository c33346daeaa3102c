package systemgemma

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func openTiny(t *testing.T, weights string) *Model {
	t.Helper()
	m, err := OpenSynthetic("tiny", weights, &Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// sample says that this is a slow leg: emulated, or with the race detector.
func sample() bool { return os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" }

// openSmall is mini: what computes much is fast with it on the slowest leg, too.
func openSmall(t *testing.T) *Model {
	t.Helper()
	m, err := Open(Mini, &Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// One result comes for each prompt length and for decoding, at each depth, with each number of threads, in this order.
func TestBenchMeasuresAll(t *testing.T) {
	m := openSmall(t)
	o := BenchOptions{Prefill: []int{2, 17}, Decode: 1, Depths: []int{0, 5}, Threads: []int{1, 2}, Repeat: 1}
	o.Rooflines = []Roofline{{Threads: 2, ReadBandwidth: Spread{1, 2, 4}, Int8Peak: Spread{10, 20, 100}}}
	var got []BenchResult
	for r, err := range m.Bench(t.Context(), o) {
		if err != nil {
			t.Fatal(err)
		}
		s, reading := r.TokS, r.Test == BenchReadWeights
		if reading {
			s = r.GBS
		}
		if !(s.Min > 0 && s.Min <= s.Median && s.Median <= s.Max) {
			t.Errorf("%+v: spread is out of order", r)
		}
		if (r.Roofline > 0) != (r.Threads == 2 && !reading) {
			t.Errorf("%+v: want a share with 2 threads, where the roof is known", r)
		}
		r.TokS, r.GBS, r.Roofline, r.Ops, r.Bytes = Spread{}, Spread{}, 0, 0, 0
		got = append(got, r)
	}
	var want []BenchResult
	for _, threads := range []int{1, 2} {
		if threads == 2 {
			want = append(want, BenchResult{Test: BenchReadWeights, Type: "w8a8", Threads: threads})
		}
		for _, depth := range []int{0, 5} {
			for _, n := range []int{2, 17} {
				want = append(want, BenchResult{Test: BenchPrefill, Type: "w8a8", Tokens: n, Depth: depth, Threads: threads})
			}
			want = append(want, BenchResult{Test: BenchDecode, Type: "w8a8", Tokens: 1, Depth: depth, Threads: threads})
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The share of the roof follows from bytes and operations of the tiny shape, counted here by hand.
func TestShareOfTheRoof(t *testing.T) {
	m := openTiny(t, "w8a8")
	b, err := m.newBench(t.Context(), 1, &BenchOptions{Rooflines: []Roofline{{Threads: 1, Int8Peak: Spread{0, 0, 100}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	b.beside = []float64{1000 / 10e9}
	const (
		layer = 2*512*512 + 2*256*512 + 3*2048*512 // q, o; k, v; gate, up, down: weights
		rows  = 4*(512+256+256+512+2048+2048+512) + 8192
		head  = 8192 * 512
		kv    = 4 * 2 * 256 * 2 // bytes of a position, f16
	)
	for _, c := range []struct {
		name             string
		r                BenchResult
		ops, bytes, roof float64
	}{
		{"prefill", BenchResult{Test: BenchPrefill, Tokens: 10}, 2 * (4*layer + head/10.0), (4*layer + head + 8*rows + 5*kv) / 10.0, 2 * (4*layer + head/10.0) / 100},
		{"prefill in 3 steps", BenchResult{Test: BenchPrefill, Tokens: 300}, 2 * (4*layer + head/300.0), (4*layer + head + 8*rows + 150*kv) / 100.0, 2 * (4*layer + head/300.0) / 100},
		{"decode", BenchResult{Test: BenchDecode, Tokens: 3, Depth: 100}, 2 * (4*layer + head), 4*layer + head + 8*rows + 102*kv, (4*layer + head + 8*rows + 102*kv) / 10.0}, // tokens see 101, 102 and 103 positions
	} {
		c.r.TokS.Median = 1000
		b.cost(&c.r)
		for _, x := range [][2]float64{{c.r.Ops, c.ops}, {c.r.Bytes, c.bytes}, {c.r.Roofline, 100 * c.roof * 1000 / 1e9}} {
			if math.Abs(x[0]/x[1]-1) > 1e-9 {
				t.Errorf("%s: found %v, want %v, in %+v", c.name, x[0], x[1], c.r)
			}
		}
	}
	if weights, bytes := m.BenchMemory(65); weights != 4*layer+head+8*rows || bytes != 128*kv {
		t.Errorf("memory: %d and %d bytes, want %d and %d", weights, bytes, 4*layer+head+8*rows, 128*kv)
	}
}

// Float weights have no int8 roof, and a local window bounds what a token reads.
func TestShareWithoutRoof(t *testing.T) {
	m := openTiny(t, "bf16")
	b, err := m.newBench(t.Context(), 1, &BenchOptions{Rooflines: []Roofline{{Threads: 1, ReadBandwidth: Spread{0, 0, 10}, Int8Peak: Spread{0, 0, 100}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	b.beside = []float64{1 / 10e9}
	r := BenchResult{Test: BenchPrefill, Tokens: 10, TokS: Spread{Median: 1000}}
	if b.cost(&r); r.Roofline != 0 || r.Ops <= 0 || r.Bytes <= 0 {
		t.Errorf("prefill of bf16: found %+v, want costs but no share", r)
	}
	r = BenchResult{Test: BenchDecode, Tokens: 1, TokS: Spread{Median: 1}}
	if b.cost(&r); r.Roofline <= 0 {
		t.Errorf("decode of bf16: %v %%, want more", r.Roofline)
	}
	m.weights.Config.Global = []bool{false, false, false, true}
	if got, want := b.kvBytes(6000), float64((6000+3*4096)*2*256*4); got != want {
		t.Errorf("6000 positions: %v bytes, want %v", got, want)
	}
}

// Decoding beside readings gives all tokens, and at least one part to compare; an end of the context ends it.
func TestDecodeBesideReadings(t *testing.T) {
	m := openSmall(t)
	ctx, cancel := context.WithCancel(t.Context())
	b, err := m.newBench(ctx, 2, &BenchOptions{Rooflines: []Roofline{{Threads: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if s, err := b.readWeights(); err != nil || s.Min <= 0 || b.reader.bytes <= 0 || int64(b.reader.bytes) > m.weightBytes() {
		t.Fatalf("read %d of %d bytes, %+v GB/s, %v", b.reader.bytes, m.weightBytes(), s, err)
	}
	took, err := b.decodeBeside(3)
	if err != nil || took <= 0 || b.cache.Len() != 3 || len(b.beside) == 0 || slices.Min(b.beside) <= 0 {
		t.Errorf("%v, %d tokens, parts %v, %v", took, b.cache.Len(), b.beside, err)
	}
	cancel()
	if _, err := b.decodeBeside(3); !errors.Is(err, context.Canceled) || b.cache.Len() != 3 {
		t.Errorf("after the end: %d tokens, %v", b.cache.Len(), err)
	}
}

// Returning to a depth that local layers have forgotten computes it anew.
func TestSeekBeyondTheWindow(t *testing.T) {
	m := openSmall(t)
	m.weights.Config.SlidingWindow = 16
	b, err := m.newBench(t.Context(), 2, &BenchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	for _, depth := range []int{70, 150, 70, 0} {
		if err := b.seek(depth); err != nil || b.cache.Len() != depth {
			t.Fatalf("seek(%d): %d tokens, %v", depth, b.cache.Len(), err)
		}
		if err := b.prefill(20); err != nil || b.cache.Len() != depth+20 {
			t.Fatalf("prefill at %d: %d tokens, %v", depth, b.cache.Len(), err)
		}
	}
}

func TestBenchRefuses(t *testing.T) {
	m := openTiny(t, "w8a8")
	for want, o := range map[string]BenchOptions{
		"prefill: want at least 1 token, found 0": {Prefill: []int{5, 0}},
		"decode -1":   {Decode: -1},
		"repeat -2":   {Repeat: -2},
		"threads [0]": {Threads: []int{0}},
		"depths [-1]": {Depths: []int{-1}},
		"depth 8000 and 512 tokens: context length":   {Depths: []int{0, 8000}, Prefill: []int{512}},
		"depth 8192 and 1 tokens: context length exc": {Depths: []int{8192}, Decode: 1},
	} {
		n := 0
		for _, err := range m.Bench(t.Context(), o) {
			if n++; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", o, err, want)
			}
		}
		if n != 1 {
			t.Errorf("%+v: %d results, want one error", o, n)
		}
	}
}

// Cancelling ends the measurement with ctx's error; no longer wanting results ends it without.
func TestBenchEndsEarly(t *testing.T) {
	m := openSmall(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, err := range m.Bench(ctx, BenchOptions{Prefill: []int{2, 2, 2}, Repeat: 1}) {
		n++
		last = err
		cancel()
	}
	if n != 2 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d results, the last %v; want one and context.Canceled", n, last)
	}
	n = 0
	for range m.Bench(t.Context(), BenchOptions{Prefill: []int{2, 2, 2}, Repeat: 1}) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d results after break", n)
	}
	if sample() {
		return
	}
	if _, err := MeasureRoofline(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("roofline: %v, want context.Canceled", err)
	}
}

func TestSpreadOf(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}}, {[]float64{4, 2}, Spread{2, 3, 4}}, {[]float64{9, 1, 5}, Spread{1, 5, 9}}, {[]float64{4, 1, 2, 10}, Spread{1, 3, 10}},
	} {
		if got := SpreadOf(slices.Clone(c.x)); got != c.want {
			t.Errorf("%v: %v, want %v", c.x, got, c.want)
		}
	}
}

// A synthetic model answers ids with ids, the same every time, and describes itself.
func TestOpenSynthetic(t *testing.T) {
	types := []string{"f32", "bf16", "q8_0", "w8a8", "w8a8-g128", "w8a8-rotated", "llm-int8", "q4_1", "q4_0", "w4", "nf4", "fp4"}
	if sample() {
		types = []string{"w8a8"}
	}
	for _, weights := range types {
		m := openTiny(t, weights)
		var ids []int32
		for e, err := range m.Generate(t.Context(), Prompt{IDs: []int32{2, 3}}, &GenerateOptions{MaxTokens: 3}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Result != nil {
				ids = e.Result.IDs
			}
		}
		if len(ids) != 3 {
			t.Errorf("%s: %d tokens, want 3", weights, len(ids))
		}
		if i := m.Info(); i.Name != "synthetic tiny" || i.Format != "synthetic" || i.Config.HiddenSize != 512 || i.Parameters != 19931648 || i.Vocabulary != 0 {
			t.Errorf("%s: %s, %s, %d parameters", weights, i.Name, i.Format, i.Parameters)
		}
		if m.weightType() != weights {
			t.Errorf("type %s, want %s", m.weightType(), weights)
		}
	}
	for _, c := range []struct{ shape, weights, want string }{
		{"3b", "w8a8", "want one of [tiny 2b 9b 27b], found \"3b\""},
		{"tiny", "w9", "want one of f32, f16, bf16, q8_0, w8a8, "},
	} {
		if _, err := OpenSynthetic(c.shape, c.weights, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %q", c.shape, c.weights, err, c.want)
		}
	}
	if _, err := OpenSynthetic("tiny", "w8a8", &Options{ContextLength: 9000}); err == nil || !strings.Contains(err.Error(), "open synthetic tiny: context length") {
		t.Errorf("context of 9000: %v", err)
	}
	if _, err := OpenSynthetic("tiny", "w8a8", &Options{Threads: -1}); err == nil {
		t.Error("-1 threads: want an error")
	}
}

// What can't fit is refused before memory is taken: 27b in float32 is 109 GB.
func TestOpenSyntheticForecast(t *testing.T) {
	machine, err := ThisMachine()
	if err != nil || machine.MemoryAvailable == 0 || machine.MemoryAvailable > 100e9 {
		t.Skipf("%d bytes available, %v", machine.MemoryAvailable, err)
	}
	_, err = OpenSynthetic("27b", "f32", nil)
	if err == nil || !strings.Contains(err.Error(), "synthetic 27b f32: want 109.2 GB of memory, found ") {
		t.Errorf("27b in f32: %v", err)
	}
}

func TestMeasureRoofline(t *testing.T) {
	if sample() {
		t.Skip("reading 256 MiB again and again says nothing on a slow leg")
	}
	r, err := MeasureRoofline(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if r.Threads != 2 || r.Instruction == "" || r.BufferBytes < 2<<20 {
		t.Errorf("%+v", r)
	}
	for _, s := range []Spread{r.ReadBandwidth, r.Int8Peak} { // between a slow emulator and far more than any machine
		if !(s.Min > 0.001 && s.Min <= s.Median && s.Median <= s.Max && s.Max < 1e6) {
			t.Errorf("%+v: spread makes no sense", r)
		}
	}
	if _, err := MeasureRoofline(t.Context(), 0); err == nil {
		t.Error("0 threads: want an error")
	}
}

// Conversations at a time are measured after all else, and all of them must run at once.
func TestBenchParallel(t *testing.T) {
	if sample() {
		t.Skip("left to the native leg: the race and emulated legs have the scheduler's own tests")
	}
	m := openSmall(t)
	var got []BenchResult
	for r, err := range m.Bench(t.Context(), BenchOptions{Parallel: []int{1, 5}, Repeat: 1, Threads: []int{2}}) {
		if err != nil {
			t.Fatal(err)
		}
		if !(r.TokS.Min > 0) {
			t.Errorf("%+v: want a rate", r)
		}
		r.TokS = Spread{}
		got = append(got, r)
	}
	var want []BenchResult
	for _, n := range []int{1, 5} {
		for _, test := range []BenchTest{BenchParallelDecode, BenchParallelWhole} {
			want = append(want, BenchResult{Test: test, Type: "w8a8", Tokens: n, Depth: 128, Threads: 2})
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, n := range []int{0, 129} {
		for _, err := range m.Bench(t.Context(), BenchOptions{Parallel: []int{n}, Repeat: 1}) {
			if err == nil || !strings.Contains(err.Error(), "1 to 128") {
				t.Errorf("%d at a time: %v", n, err)
			}
		}
	}
}
