package systemgemma

import (
	"fmt"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

// Forecast is what a model takes, known from its configuration alone.
type Forecast struct {
	Type        string `json:"type"`         // of the weights
	Parameters  int64  `json:"parameters"`   // a tied head counts once
	WeightBytes int64  `json:"weight_bytes"` // on disk and in memory; a file has its tokenizer besides, and a little padding
	KVBytes     int64  `json:"kv_bytes"`     // keys and values of one full context, at the default type
	Context     int    `json:"context"`      // tokens
}

// ForecastConvert tells what Convert would make of a model with that config.json, before its weights are here. It refuses
// what Convert would: a model that can't be run, and a type that doesn't fit it. An empty typ is DefaultType.
func ForecastConvert(config []byte, typ string) (Forecast, error) {
	c, err := checkpoint.ParseConfig(config)
	if err != nil {
		return Forecast{}, err
	}
	f := Forecast{Type: typ, Context: c.MaxPositions}
	if typ == "" {
		f.Type = DefaultType
	}
	spec, err := quant.ParseSpec(f.Type)
	if err != nil {
		return Forecast{}, err
	}
	for _, p := range load.Parts(&c) {
		of := spec
		if p.Name == "token_embd.weight" {
			of = spec.Embedding()
		}
		if p.Cols == 0 {
			f.Parameters += int64(p.Rows)
			f.WeightBytes += 4 * int64(p.Rows)
			continue
		}
		s, err := of.For(p.Cols)
		if err != nil {
			return Forecast{}, fmt.Errorf("%s: %w", p.Name, err)
		}
		f.Parameters += int64(p.Rows) * int64(p.Cols)
		f.WeightBytes += s.Bytes(p.Rows, p.Cols)
	}
	kv := gemma2.KVF32
	if spec.Layout.Bits() < 16 {
		kv = gemma2.KVF16
	}
	f.KVBytes = gemma2.NewPool(&c, kv, 0).Need(c.MaxPositions)
	return f, nil
}
