package systemgemma

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Load is what a model is doing now.
type Load struct {
	Running  int   // requests that are being computed
	Waiting  int   // requests that wait for a place or for memory
	KVBytes  int64 // memory of keys and values, those that ended requests left included
	KVPinned int64 // of these, what running requests need
	KVLimit  int64 // Options.KVMemory; 0: none
}

// Load says what the model is doing now.
func (m *Model) Load() Load {
	l := m.engine.Load()
	return Load{Running: l.Running, Waiting: l.Waiting, KVBytes: l.KVBytes, KVPinned: l.Pinned, KVLimit: l.KVLimit}
}

// ForecastOpen tells what Open would take of memory, from the head of the model's files: no weight is read. It refuses what can't
// be run. Type is empty.
func ForecastOpen(name string, o *Options) (f Forecast, err error) {
	if o == nil {
		o = &Options{}
	}
	ck, err := openCheckpoint(name, checkpoint.Open)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	if err := ck.Runnable(); err != nil {
		return f, fmt.Errorf("open %s: %w", displayName(name), err)
	}
	if !ck.HasConfig || len(ck.Tensors)+len(ck.Matrices) == 0 {
		return f, fmt.Errorf("open %s: %w", displayName(name), ErrNoWeights)
	}
	kv, err := kvType(o, ck)
	if err != nil {
		return f, err
	}
	for _, t := range tensorInfos(ck) {
		n := int64(1)
		for _, d := range t.Shape {
			n *= int64(d)
		}
		f.Parameters += n
		f.WeightBytes += t.Bytes
	}
	f.Context = min(cmp.Or(o.ContextLength, ck.Config.MaxPositions), ck.Config.MaxPositions)
	f.KVBytes = gemma2.NewPool(&ck.Config, kv, 0).Need(f.Context)
	if o.Draft == "" {
		return f, nil
	}
	d, err := ForecastOpen(o.Draft, nil)
	f.WeightBytes += d.WeightBytes
	f.KVBytes += d.KVBytes
	return f, err
}
