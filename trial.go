package systemgemma

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Tuning is what may be chosen for a machine: how fast answers come depends on it, no bit of them does. The zero value is the default.
type Tuning struct {
	Threads      int   `json:"threads"`                 // as in Options
	Cores        []int `json:"cores,omitempty"`         // as in Options
	PrefillChunk int   `json:"prefill_chunk,omitempty"` // as in Options
}

// Trials measure tunings of an open model, or of its first layers. Not safe for concurrent use; the model may not answer meanwhile,
// else it disturbs them.
type Trials struct {
	m      *Model
	layers int
	ready  map[string]*bench // by tuning: an idle crew costs nothing, and making one takes time
}

// NewTrials prepares trials of the first layers of the model, and its embedding and head; 0: of all layers.
func (m *Model) NewTrials(layers int) (*Trials, error) {
	all := len(m.weights.Layers)
	if layers < 0 || layers > all {
		return nil, fmt.Errorf("layers: want 1 to %d, or 0 for all, found %d", all, layers)
	}
	if layers == 0 {
		layers = all
	}
	return &Trials{m: m, layers: layers, ready: map[string]*bench{}}, nil
}

// Layers are the layers that trials run, and those of the model.
func (t *Trials) Layers() (used, all int) { return t.layers, len(t.m.weights.Layers) }

// Close frees what trials keep.
func (t *Trials) Close() {
	for _, b := range t.ready {
		b.close()
	}
	clear(t.ready)
}

// Measure computes a random prompt and then random tokens one by one, greedily, with a tuning, and tells how long both took. The
// first time that a tuning is used includes memory that is touched for the first time.
func (t *Trials) Measure(ctx context.Context, tuning Tuning, prompt, answer int) (prefill, decode time.Duration, err error) {
	if prompt < 1 || answer < 0 || prompt+answer > t.m.ContextLength() {
		return 0, 0, fmt.Errorf("prompt %d, answer %d: want 1 and 0 or more, %d together", prompt, answer, t.m.ContextLength())
	}
	b, err := t.bench(tuning)
	if err != nil {
		return 0, 0, err
	}
	b.ctx = ctx
	if err := b.seek(0); err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := b.prefill(prompt); err != nil {
		return 0, 0, err
	}
	prefill = time.Since(start)
	start = time.Now()
	err = b.decode(answer)
	return prefill, time.Since(start), err
}

// bench is a model of those layers with a crew of its own.
func (t *Trials) bench(tuning Tuning) (*bench, error) {
	key := fmt.Sprint(tuning)
	if b := t.ready[key]; b != nil {
		return b, nil
	}
	o := Options{Threads: tuning.Threads, Cores: tuning.Cores, PrefillChunk: tuning.PrefillChunk}
	if err := o.check(); err != nil {
		return nil, err
	}
	w := *t.m.weights.Weights
	w.Layers = w.Layers[:t.layers]
	w.Config.NumLayers, w.Config.Global = t.layers, slices.Clone(w.Config.Global[:t.layers])
	b := &bench{m: t.m, crew: o.crew(), pool: gemma2.NewPool(&w.Config, t.m.kv, 0), tokens: t.m.randomTokens(), chunk: tuning.PrefillChunk}
	var err, samplerErr error
	b.model, err = gemma2.New(&w, b.crew, t.m.preset.arithmetic())
	b.sampler, samplerErr = sampler.New(sampler.Params{})
	b.cache = b.pool.NewCache()
	if err = errors.Join(err, samplerErr); err != nil {
		b.close()
		return nil, err
	}
	t.ready[key] = b
	return b, nil
}

// KVMemory is the memory of keys and values of that many tokens with a number type as Options.KVType names it, 0 for an unknown
// one, and whether the model uses that type.
func (m *Model) KVMemory(kvType string, tokens int) (bytes int64, used bool) {
	types := map[string]gemma2.KVType{"f32": gemma2.KVF32, "f16": gemma2.KVF16, "int8": gemma2.KVI8}
	t, ok := types[kvType]
	if !ok {
		return 0, false
	}
	return gemma2.NewPool(&m.weights.Config, t, 0).Need(tokens), t == m.kv
}
