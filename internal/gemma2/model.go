package gemma2

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
)

// MaxRows is the most tokens that one pass takes; longer prompts go in chunks, which changes no bit.
const MaxRows = 128

// ErrNonFinite says that logits held a NaN or an infinity: broken weights, never a thing to sample from.
var ErrNonFinite = errors.New("logits are not finite")

// Options choose the arithmetic of a model.
type Options struct {
	// Exact multiplies quantised weights with unrounded float32 activations.
	Exact bool
	// Rounded multiplies bfloat16 weights with activations rounded to bfloat16 (kernel.MulBF16Rounded).
	Rounded bool
	// RoundEmbedScale rounds sqrt(hidden size) to bfloat16, as the reference does when it computes in bfloat16.
	RoundEmbedScale bool
}

// Model computes forward passes. One pass runs at a time: the caller takes care of that.
type Model struct {
	weights    *Weights
	config     *arch.Config
	crew       *parallel.Crew
	scratch    *offheap.Block
	freq       []float32 // rotation per position, [headDim/2]
	embedScale float32
	queryScale float32

	// Scratch, one row a token.
	x, h      rows    // residual stream; normed input or output of a branch
	qkv       [3]rows // products of the normed input
	q         rows    // queries after rotation, [heads][head dim padded]
	attn      rows    // [heads*headDim]
	gate, up  rows
	logits    rows // kernel.MaxPanel rows
	cos, sin  rows
	linear    *linear
	attention attention
	rowCache  []*Cache // whose row it is
	rowPos    []int    // its position there
	rowID     []int32
	rowSet    []*AdapterSet // its adapters
	pickedSet []*AdapterSet // of the picked rows in this panel
	adapted   bool          // whether any row of this pass has adapters
	picked    []int         // rows whose logits are wanted
	readers   []reader      // who wants them
	out       func(chunk, row int, logits []float32) error
	base      int    // first of the picked rows in this panel
	nonFinite []bool // per worker

	// Loop bodies and row makers, bound once so that a pass allocates nothing.
	body  struct{ embed, rotate, attend, limit, read parallel.Body }
	pre   struct{ first, attn, ffn, down, head func(t int) }
	probe func(name string, layer int, r rows, n int) // for tests, and for who watches a Walk
}

// New prepares a model. It keeps w, whose slices must stay valid until Close, and runs its loops on crew.
func New(w *Weights, crew *parallel.Crew, o Options) (*Model, error) {
	if err := w.Validate(); err != nil {
		return nil, fmt.Errorf("gemma2: %w", err)
	}
	return prepare(w, crew, o, w.outliers())
}

// prepare is New for weights that are valid, or will be; outliers says whether any matrix may multiply some activations unrounded.
func prepare(w *Weights, crew *parallel.Crew, o Options, outliers bool) (*Model, error) {
	c := &w.Config
	m := &Model{weights: w, config: c, crew: crew, freq: inverseFrequencies(c.RopeTheta, c.HeadDim)}
	m.embedScale = float32(math.Sqrt(float64(c.HiddenSize)))
	if o.RoundEmbedScale {
		m.embedScale = half.FromBF16(half.ToBF16(m.embedScale))
	}
	m.queryScale = float32(1 / math.Sqrt(c.QueryPreAttnScalar))

	var measure arena
	m.layOut(&measure, o, outliers)
	block, err := offheap.Alloc(measure.used)
	if err != nil {
		return nil, fmt.Errorf("gemma2: scratch memory: %w", err)
	}
	m.scratch = block
	m.layOut(&arena{block: block}, o, outliers)

	m.rowCache, m.rowPos, m.rowID = make([]*Cache, MaxRows), make([]int, MaxRows), make([]int32, MaxRows)
	m.rowSet = make([]*AdapterSet, MaxRows)
	m.picked, m.readers = make([]int, 0, MaxRows), make([]reader, 0, MaxRows)
	m.nonFinite = make([]bool, crew.Workers())
	m.body.embed, m.body.rotate, m.body.attend, m.body.limit, m.body.read = m.embed, m.rotate, m.attention.attend, m.capLogits, m.read
	m.pre.first, m.pre.attn, m.pre.ffn, m.pre.down, m.pre.head = m.firstNorm, m.joinFFN, m.joinAttention, m.activate, m.joinPicked
	return m, nil
}

// layOut takes all scratch memory from a. What every pass uses comes first: the rest, of which one model touches little, would lie in
// the same huge pages otherwise.
func (m *Model) layOut(a *arena, o Options, outliers bool) {
	c := m.config
	qWidth, kvWidth := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	m.x, m.h = a.rows(MaxRows, c.HiddenSize), a.rows(MaxRows, c.HiddenSize)
	m.qkv = [3]rows{a.rows(MaxRows, qWidth), a.rows(MaxRows, kvWidth), a.rows(MaxRows, kvWidth)}
	m.q, m.attn = a.rows(MaxRows, c.NumHeads*pad16(c.HeadDim)), a.rows(MaxRows, qWidth)
	m.gate, m.up = a.rows(MaxRows, c.IntermediateSize), a.rows(MaxRows, c.IntermediateSize)
	m.cos, m.sin = a.rows(MaxRows, c.HeadDim/2), a.rows(MaxRows, c.HeadDim/2)
	m.attention = newAttention(m, a)
	m.linear = newLinear(m.crew, o, outliers, a, MaxRows, max(c.HiddenSize, c.IntermediateSize, qWidth))
	m.logits = a.rows(kernel.MaxPanel, c.VocabSize)
}

// Close frees the scratch memory; the model is then of no use.
func (m *Model) Close() error { return m.scratch.Free() }

// Config is the model's shape.
func (m *Model) Config() *arch.Config { return m.config }

// Chunk is one sequence's part of a pass: Tokens follow what Cache holds. Of the last Logits tokens the next-token logits
// are wanted, or with States instead the hidden states after the final norm, of the hidden size. Tokens are computed with
// Adapters, of this model's NewAdapterSet; so must have been those that Cache holds.
type Chunk struct {
	Cache    *Cache
	Tokens   []int32
	Logits   int
	States   bool
	Adapters *AdapterSet
}

// Forward runs all chunks in one pass of at most MaxRows tokens in all, adds their keys and values to their caches, and calls
// out for each wanted row: chunk and row are indices of the chunk and of its token. Rows of one chunk come in order; those of
// different chunks also at the same time, on several goroutines. logits, after the final soft cap, has the vocabulary's size
// and is valid during the call only; out may change it.
// When ctx ends between two layers, or on any other error, no cache has grown.
func (m *Model) Forward(ctx context.Context, chunks []Chunk, out func(chunk, row int, logits []float32) error) error {
	n, err := m.admit(chunks)
	if err != nil || n == 0 {
		return err
	}
	if err := m.crew.Run(n, 8, m.body.embed); err != nil {
		return fmt.Errorf("embedding: %w", err)
	}
	m.see("hidden", 0, m.x, n)
	for l := range m.weights.Layers {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := m.runLayer(l, n); err != nil {
			return fmt.Errorf("layer %d: %w", l, err)
		}
	}
	if err := m.head(chunks, out); err != nil {
		return err
	}
	for _, c := range chunks {
		c.Cache.advance(len(c.Tokens))
	}
	return nil
}

// admit checks the chunks, finds memory for their positions and lists their rows.
func (m *Model) admit(chunks []Chunk) (n int, err error) {
	m.adapted = false
	for _, c := range chunks {
		if n+len(c.Tokens) > MaxRows {
			return 0, fmt.Errorf("gemma2: want at most %d tokens in a pass, found more", MaxRows)
		}
		if c.Logits > len(c.Tokens) {
			return 0, fmt.Errorf("gemma2: logits of %d tokens wanted, %d given", c.Logits, len(c.Tokens))
		}
		if err := c.Cache.reserve(c.Cache.n + len(c.Tokens)); err != nil {
			return 0, err
		}
		for i, id := range c.Tokens {
			if id < 0 || int(id) >= m.config.VocabSize {
				return 0, fmt.Errorf("gemma2: token %d: want an id below %d, found %d", i, m.config.VocabSize, id)
			}
			m.rowID[n], m.rowCache[n], m.rowPos[n], m.rowSet[n] = id, c.Cache, c.Cache.n+i, c.Adapters
			n++
		}
		m.adapted = m.adapted || c.Adapters != nil
	}
	m.attention.plan(n)
	if m.adapted {
		m.linear.adapt.plan(m.linear, m.rowSet[:n])
	} else {
		m.linear.adapt.panels = m.linear.adapt.panels[:0]
	}
	return n, nil
}

// embed fills rows [lo, hi) of the residual stream with scaled embeddings, and of the rotations.
func (m *Model) embed(worker, lo, hi int) {
	half := m.config.HeadDim / 2
	for t := lo; t < hi; t++ {
		x := m.x.row(t)
		clear(x[m.config.HiddenSize:]) // a pass that met a NaN leaves one there
		x = x[:m.config.HiddenSize]
		m.weights.Embed.Row(x, int(m.rowID[t]))
		if s := m.rowSet[t]; s != nil {
			a, n := &m.linear.adapt, m.x.stride
			work := a.work[worker*a.each : (worker+1)*a.each]
			s.embedRow(x, int(m.rowID[t]), work[:n], work[n:2*n], work[2*n:])
		}
		kernel.Scale(x, m.embedScale)
		angles(m.cos.row(t)[:half], m.sin.row(t)[:half], m.freq, m.rowPos[t])
	}
}
