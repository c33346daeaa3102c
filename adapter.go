package systemgemma

import (
	"fmt"

	"github.com/systemgemma/systemgemma/internal/checkpoint/peft"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

// MaxAdapters is the most adapters that one answer can use at once.
const MaxAdapters = gemma2.MaxAdapters

// Adapter is a LoRA adapter, ready for one opened model. It is never changed: any number of answers may use it at the same
// time, each at its own strength, beside answers without it. Its memory is freed when nothing refers to it any more.
type Adapter struct {
	model *Model
	x     *gemma2.Adapter
	info  AdapterInfo
}

// AdapterInfo is what an adapter's files say.
type AdapterInfo struct {
	Path       string   `json:"path"`
	Base       string   `json:"base,omitempty"`  // the base model, as the adapter's author named it
	Digest     string   `json:"sha256"`          // of its files
	Parameters []string `json:"parameters"`      // that it changes, as llama.cpp names them
	Notes      []string `json:"notes,omitempty"` // what was found and left out, and why that is harmless
}

// OpenAdapter opens a LoRA adapter for m: a PEFT folder (adapter_config.json and adapter_model.safetensors) or a GGUF adapter.
// The model's weights stay as they are; answers name the adapters that they want (GenerateOptions.Adapters). LoRA,
// rank-stabilised LoRA, DoRA and modules_to_save are honoured. What can't be, and an adapter that was made for another model,
// is refused by the name of its key or tensor.
func (m *Model) OpenAdapter(path string) (*Adapter, error) {
	release, err := m.engine.Hold() // DoRA's factors are computed from the weights
	if err != nil {
		return nil, err
	}
	defer release()
	if err := fitsAdapters(m.checkpoint); err != nil {
		return nil, err
	}
	a, err := peft.Open(path, &m.weights.Config)
	if err != nil {
		return nil, err
	}
	defer a.Close() // what load.Adapter returns has no part of the file
	x, err := load.Adapter(a, m.weights.Weights, m.crew)
	if err != nil {
		return nil, fmt.Errorf("adapter %s: %w", path, err)
	}
	info := AdapterInfo{Path: path, Base: a.Base, Digest: a.Digest, Parameters: a.Names(), Notes: a.Notes}
	return &Adapter{model: m, x: x, info: info}, nil
}

// Info describes the adapter.
func (a *Adapter) Info() AdapterInfo { return a.info }

// AdapterUse is an adapter at a strength.
type AdapterUse struct {
	Adapter *Adapter
	// Scale multiplies the difference that the adapter makes: 1 is what it was trained for, more exaggerates, less than 0
	// turns it round. 0 means 1; to do without an adapter, don't list it.
	Scale float32
}

// adapterSet resolves what an answer asks for.
func (m *Model) adapterSet(uses []AdapterUse) (*gemma2.AdapterSet, error) {
	var list []gemma2.AdapterUse
	for i, u := range uses {
		switch {
		case u.Adapter == nil:
			return nil, fmt.Errorf("adapter %d: want one of OpenAdapter, found nil", i)
		case u.Adapter.model != m:
			return nil, fmt.Errorf("adapter %d: %s was opened for another model; open it with OpenAdapter of this one", i, u.Adapter.info.Path)
		case u.Scale == 0:
			u.Scale = 1
		}
		list = append(list, gemma2.AdapterUse{Adapter: u.Adapter.x, Scale: u.Scale})
	}
	return m.model.NewAdapterSet(list)
}
