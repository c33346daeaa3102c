package systemgemma

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// BenchOptions say what Model.Bench measures: every prompt length and, if Decode is not 0, generation, at every depth, with
// every number of threads.
type BenchOptions struct {
	Prefill []int // lengths of prompts, in tokens
	Decode  int   // tokens to generate one by one; 0: none
	// Parallel are numbers of conversations, each of a prompt of 128 tokens and an answer, to run at a time. Each gives two results.
	Parallel []int
	Depths   []int // tokens that the KV cache holds before; nil: 0
	Threads  []int // nil: all processors that this process may use
	Repeat   int   // measurements of each, after one that does not count; 0: 5
	// Rooflines are what this machine can do, from MeasureRoofline; those with the same number of threads give percentages.
	Rooflines []Roofline
}

// BenchTest names what was measured.
type BenchTest string

const (
	// BenchPrefill is computing a prompt: tokens/s up to the first new token, its choice included.
	BenchPrefill BenchTest = "prefill"
	// BenchDecode is generating greedily, one token at a time.
	BenchDecode BenchTest = "decode"
	// BenchReadWeights is reading all weights in order, and nothing else: GB/s. It comes before decoding, and only where a roofline is
	// given. What decoding is measured by are more such readings in between: memory may be twice as fast a second later.
	BenchReadWeights BenchTest = "read_weights"
	// BenchParallelDecode is generating Tokens answers at a time: tokens/s of all together while all generate and no prompt is computed.
	BenchParallelDecode BenchTest = "parallel_decode"
	// BenchParallelWhole is the same with the prompts: answered tokens/s from asking on, until each answer has 64 tokens.
	BenchParallelWhole BenchTest = "parallel_whole"
)

// Spread is the smallest, the middle and the largest of some measurements.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// SpreadOf sorts x, which is not empty. The median of an even number is the mean of the middle two.
func SpreadOf(x []float64) Spread {
	slices.Sort(x)
	n := len(x)
	return Spread{x[0], (x[(n-1)/2] + x[n/2]) / 2, x[n-1]}
}

// BenchResult is one measurement of a model.
type BenchResult struct {
	Test     BenchTest
	Type     string // of the weights, as SyntheticTypes names them
	Tokens   int
	Depth    int
	Threads  int
	TokS     Spread  // tokens per second; BenchReadWeights: none
	GBS      Spread  // BenchReadWeights: 10^9 bytes a second
	Roofline float64 // the median in per cent of what the machine allows; 0: not known (see Roofline)

	// What a token costs in the mean: operations of the matrix products (multiply and add are two) and bytes of weights, keys and
	// values that must be read from memory at least. A prompt's weights are read once in 128 tokens. 0: not counted.
	Ops, Bytes float64
}

// Bench measures the model's speed, one result after the other. It ends at the first error; cancel it by ctx.
func (m *Model) Bench(ctx context.Context, o BenchOptions) iter.Seq2[BenchResult, error] {
	return func(yield func(BenchResult, error) bool) {
		if err := m.checkBench(&o); err != nil {
			yield(BenchResult{}, err)
			return
		}
		for _, threads := range o.Threads {
			b, err := m.newBench(ctx, threads, &o)
			if err == nil {
				err = b.all(&o, yield)
				b.close()
			}
			if err != nil && err != errEnough {
				yield(BenchResult{}, err)
			}
			if err != nil {
				return
			}
		}
	}
}

// BenchMemory is the memory of the model's weights, and of the KV cache that a context of that many tokens takes, in bytes.
func (m *Model) BenchMemory(tokens int) (weights, kv int64) {
	return m.weightBytes(), gemma2.NewPool(&m.weights.Config, m.kv, 0).Need(tokens)
}

// errEnough says that whoever reads results wants no more.
var errEnough = fmt.Errorf("enough")

// checkBench fills in defaults and refuses what can't be measured: before it takes time.
func (m *Model) checkBench(o *BenchOptions) error {
	if len(o.Depths) == 0 {
		o.Depths = []int{0}
	}
	if len(o.Threads) == 0 {
		o.Threads = []int{runtime.GOMAXPROCS(0)}
	}
	o.Repeat = cmp.Or(o.Repeat, 5)
	most := o.Decode
	for _, n := range o.Prefill {
		if most = max(most, n); n < 1 {
			return fmt.Errorf("prefill: want at least 1 token, found %d", n)
		}
	}
	for _, n := range o.Parallel {
		if most = max(most, parallelPrompt+parallelAnswer+n); n < 1 || n > gemma2.MaxRows {
			return fmt.Errorf("parallel: want 1 to %d conversations, found %d", gemma2.MaxRows, n)
		}
	}
	switch deepest := slices.Max(o.Depths); {
	case o.Decode < 0 || o.Repeat < 1 || slices.Min(o.Depths) < 0 || slices.Min(o.Threads) < 1:
		return fmt.Errorf("bench: want tokens and depths of at least 0, threads and repetitions of at least 1, found decode %d, depths %v, threads %v, repeat %d",
			o.Decode, o.Depths, o.Threads, o.Repeat)
	case deepest+most > m.ContextLength():
		return fmt.Errorf("depth %d and %d tokens: %w, which is %d", deepest, most, ErrContextLength, m.ContextLength())
	default:
		machine, _ := ThisMachine() // the model is open, so there is no error
		if _, need := m.BenchMemory(deepest + most); machine.MemoryAvailable > 0 && need > machine.MemoryAvailable {
			return fmt.Errorf("depth %d and %d tokens: want %.1f GB for keys and values, found %.1f GB available; choose less, or a smaller KV type",
				deepest, most, float64(need)/1e9, float64(machine.MemoryAvailable)/1e9)
		}
	}
	return nil
}

// bench measures with one number of threads.
type bench struct {
	ctx     context.Context
	m       *Model
	model   *gemma2.Model
	crew    *parallel.Crew
	pool    *gemma2.Pool
	cache   *gemma2.Cache
	sampler *sampler.Sampler
	tokens  []int32 // random, as many as the context holds
	chunk   int     // most tokens of a prompt in a pass; 0: gemma2.MaxRows
	roof    *Roofline
	reader  weightReader
	beside  []float64 // of a test's parts: tokens in the time in which reading takes a byte (decodeBeside)
}

func (m *Model) newBench(ctx context.Context, threads int, o *BenchOptions) (*bench, error) {
	b := &bench{ctx: ctx, m: m, crew: parallel.New(threads), pool: gemma2.NewPool(&m.weights.Config, m.kv, 0)}
	for i := range o.Rooflines {
		if o.Rooflines[i].Threads == threads {
			b.roof = &o.Rooflines[i]
		}
	}
	var err error
	if b.model, err = gemma2.New(m.weights.Weights, b.crew, m.preset.arithmetic()); err == nil {
		b.sampler, err = sampler.New(sampler.Params{})
	}
	if err != nil {
		b.crew.Close()
		return nil, err
	}
	b.cache = b.pool.NewCache()
	b.tokens = m.randomTokens()
	return b, nil
}

// randomTokens are as many as the context holds.
func (m *Model) randomTokens() []int32 {
	r := rand.New(rand.NewPCG(syntheticSeed, 0))
	tokens := make([]int32, m.ContextLength())
	for i := range tokens {
		tokens[i] = r.Int32N(int32(m.weights.Config.VocabSize))
	}
	return tokens
}

func (b *bench) close() {
	b.cache.Free()
	b.pool.Close()
	if b.model != nil {
		_ = b.model.Close() // our own memory: cannot fail
	}
	b.crew.Close()
}

// all runs every test of o.
func (b *bench) all(o *BenchOptions, yield func(BenchResult, error) bool) error {
	if o.Decode > 0 && b.roof != nil {
		reading, err := b.readWeights()
		if err != nil {
			return err
		}
		if !yield(BenchResult{Test: BenchReadWeights, Type: b.m.weightType(), Threads: b.crew.Workers(), GBS: reading}, nil) {
			return errEnough
		}
	}
	for _, depth := range o.Depths {
		for _, n := range o.Prefill {
			if err := b.test(BenchPrefill, timed(b.prefill), n, depth, o.Repeat, yield); err != nil {
				return err
			}
		}
		if o.Decode > 0 {
			decode := timed(b.decode)
			if b.roof != nil {
				decode = b.decodeBeside
			}
			if err := b.test(BenchDecode, decode, o.Decode, depth, o.Repeat, yield); err != nil {
				return err
			}
		}
	}
	for _, n := range o.Parallel {
		if err := b.together(n, b.crew.Workers(), o.Repeat, yield); err != nil {
			return err
		}
	}
	return nil
}

// timed is run with the time that it took.
func timed(run func(n int) error) func(n int) (time.Duration, error) {
	return func(n int) (time.Duration, error) {
		start := time.Now()
		err := run(n)
		return time.Since(start), err
	}
}

// test measures one thing repeatedly, after a first time that warms up.
func (b *bench) test(name BenchTest, run func(n int) (time.Duration, error), n, depth, repeat int, yield func(BenchResult, error) bool) error {
	var rates []float64
	for i := -1; i < repeat; i++ {
		if err := b.seek(depth); err != nil {
			return err
		}
		if i <= 0 { // what the one before, or the first time, left
			b.beside = b.beside[:0]
		}
		took, err := run(n)
		if err != nil {
			return err
		}
		if i >= 0 {
			rates = append(rates, float64(n)/took.Seconds())
		}
	}
	r := BenchResult{Test: name, Type: b.m.weightType(), Tokens: n, Depth: depth, Threads: b.crew.Workers(), TokS: SpreadOf(rates)}
	b.cost(&r)
	if !yield(r, nil) {
		return errEnough
	}
	return nil
}

// seek brings the cache to depth tokens. Where local layers have forgotten what that depth sees, it is computed anew.
func (b *bench) seek(depth int) error {
	if b.cache.Len() > depth && !b.cache.Truncate(depth) {
		b.cache.Free()
	}
	return b.forward(b.tokens[b.cache.Len():depth], false)
}

// forward computes tokens after those in the cache and, if wanted, chooses the next one.
func (b *bench) forward(tokens []int32, choose bool) error {
	for len(tokens) > 0 {
		c := gemma2.Chunk{Cache: b.cache, Tokens: tokens[:min(cmp.Or(b.chunk, gemma2.MaxRows), len(tokens))]}
		tokens = tokens[len(c.Tokens):]
		if choose && len(tokens) == 0 {
			c.Logits = 1
		}
		if err := b.model.Forward(b.ctx, []gemma2.Chunk{c}, b.choose); err != nil {
			return err
		}
	}
	return nil
}

// choose takes the most likely token, as generation does. Which one is of no interest: the next is as random as the others.
func (b *bench) choose(_, _ int, logits []float32) error {
	_, _, err := b.sampler.Sample(logits)
	return err
}

func (b *bench) prefill(n int) error {
	at := b.cache.Len()
	return b.forward(b.tokens[at:at+n], true)
}

func (b *bench) decode(n int) error {
	for range n {
		if err := b.prefill(1); err != nil {
			return err
		}
	}
	return nil
}

// weightType names the kind of most weights: as OpenSynthetic takes it, else as files name the layout.
func (m *Model) weightType() string { return m.weights.Layers[0].Gate.Spec().Name() }

// matrices lists what a token is multiplied with: all matrices of the layers, then the head.
func (m *Model) matrices() []*quant.Matrix {
	var list []*quant.Matrix
	for i := range m.weights.Layers {
		l := &m.weights.Layers[i]
		list = append(list, l.Q, l.K, l.V, l.O, l.Gate, l.Up, l.Down)
	}
	return append(list, m.weights.Head)
}

func matrixBytes(m *quant.Matrix) int64 {
	return int64(len(m.Data) + 4*len(m.Scale) + 4*len(m.RowSum) + len(m.Scales) + len(m.Mins))
}

// weightBytes is the memory of all matrices.
func (m *Model) weightBytes() (n int64) {
	for _, x := range m.matrices() {
		n += matrixBytes(x)
	}
	if m.weights.Embed != m.weights.Head {
		n += matrixBytes(m.weights.Embed)
	}
	return n
}
