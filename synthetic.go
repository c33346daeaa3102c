package systemgemma

import (
	"fmt"
	"runtime"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/load"
)

// SyntheticShapes names the models that OpenSynthetic makes.
func SyntheticShapes() []string { return load.Shapes() }

// SyntheticTypes names the kinds of weights that they can have, floats first; N stands for a group size.
func SyntheticTypes() []string { return quant.TypeNames() }

// syntheticSeed is that of all synthetic weights: the same on every machine, so that measurements can be repeated.
const syntheticSeed = 1

// OpenSynthetic makes a model with random weights of a true shape in memory: "2b", "9b", "27b" (the released Gemma 2), or
// "tiny". It has no tokenizer, so ids go in and out; its answers make no sense, only their speed does. A model that does not
// fit into the available memory is refused before anything is made.
func OpenSynthetic(shape, weights string, o *Options) (*Model, error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	config, err := load.SyntheticConfig(shape)
	if err != nil {
		return nil, err
	}
	spec, err := quant.ParseSpec(weights)
	if err != nil {
		return nil, err
	}
	machine, _ := ThisMachine() // its error is that of check
	if need := forecast(&config, spec); machine.MemoryAvailable > 0 && need > machine.MemoryAvailable {
		return nil, fmt.Errorf("synthetic %s %s: want %.1f GB of memory, found %.1f GB available; choose a smaller shape or type",
			shape, weights, float64(need)/1e9, float64(machine.MemoryAvailable)/1e9)
	}
	crew := parallel.New(runtime.GOMAXPROCS(0))
	defer crew.Close()
	ck, blocks, err := load.Synthetic(shape, spec, syntheticSeed, crew)
	if err != nil {
		return nil, err
	}
	m, err := newModel(ck, o)
	if err != nil {
		freeAll(blocks)
		return nil, fmt.Errorf("open %s: %w", ck.Path, err)
	}
	m.weights.Own(blocks)
	return m, nil
}

func freeAll(blocks []*offheap.Block) {
	for _, b := range blocks {
		_ = b.Free() // our own memory: cannot fail
	}
}

// scratch is a bound on what a model needs beside weights and KV pages: rows of activations and logits.
const scratch = 256 << 20

// forecast is the memory that a synthetic model takes, without KV pages.
func forecast(c *arch.Config, spec quant.Spec) int64 {
	n := int64(scratch)
	for _, p := range load.Parts(c) {
		if p.Cols != 0 {
			n += spec.Bytes(p.Rows, p.Cols)
		}
	}
	return n
}
