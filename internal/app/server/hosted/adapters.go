package hosted

import (
	"fmt"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// AdapterState is a LoRA adapter of an open model, and the strength that requests use it at which name none. 0: they don't.
type AdapterState struct {
	ID      int // of the model, from 0
	Path    string
	Scale   float32
	Adapter *systemgemma.Adapter
}

// adapters are those of a model, guarded by Set.mu. The slice is replaced, not changed.
type adapters []AdapterState

// kept are the adapters of a model that was closed, for the same file alone.
type kept struct {
	list  adapters
	stamp string // models.Stamp of the file that they were loaded for
}

// Adapters are those of the model that is leased.
func (l *Lease) Adapters() []AdapterState {
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	return l.model.adapters
}

// LoadAdapter opens an adapter for the leased model, which has it until the set is closed, also when it is closed itself and opened again. A caller decides which paths a client may name.
func (l *Lease) LoadAdapter(path string, scale float32) (AdapterState, error) {
	a, err := l.Model.OpenAdapter(path)
	if err != nil {
		return AdapterState{}, err
	}
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	list := l.model.adapters
	x := AdapterState{ID: len(list), Path: path, Scale: scale, Adapter: a}
	l.model.adapters = append(slices.Clip(list), x)
	return x, nil
}

// SetScales changes the strengths that requests use which name none; adapters that scales lacks get 0.
func (l *Lease) SetScales(scales map[int]float32) error {
	l.set.mu.Lock()
	defer l.set.mu.Unlock()
	list := slices.Clone(l.model.adapters)
	for i := range list {
		list[i].Scale = scales[i]
	}
	for id, x := range scales {
		if err := checkAdapter(list, id, x); err != nil {
			return err
		}
	}
	l.model.adapters = list
	return nil
}

func checkAdapter(list []AdapterState, id int, scale float32) error {
	if id < 0 || id >= len(list) {
		return problem.Invalid("lora", "want the id of an adapter of this model (%d of them, from 0), found %d", len(list), id)
	}
	if math.IsNaN(float64(scale)) || math.IsInf(float64(scale), 0) {
		return problem.Invalid("lora", "want a finite scale, found %v", scale)
	}
	return nil
}

// Use is what a request uses of the model's adapters: scales by id, or without any the strengths that are set.
func (l *Lease) Use(scales map[int]float32) ([]systemgemma.AdapterUse, error) {
	list := l.Adapters()
	for id, x := range scales {
		if err := checkAdapter(list, id, x); err != nil {
			return nil, err
		}
	}
	var uses []systemgemma.AdapterUse
	for _, a := range list {
		scale := a.Scale
		if scales != nil {
			scale = scales[a.ID]
		}
		if scale != 0 {
			uses = append(uses, systemgemma.AdapterUse{Adapter: a.Adapter, Scale: scale})
		}
	}
	if len(uses) > systemgemma.MaxAdapters {
		return nil, problem.Invalid("lora", "want at most %d adapters at a time, found %d", systemgemma.MaxAdapters, len(uses))
	}
	return uses, nil
}

// String is for messages.
func (a AdapterState) String() string { return fmt.Sprintf("%d: %s at %g", a.ID, a.Path, a.Scale) }
