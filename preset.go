package systemgemma

import (
	"cmp"
	"fmt"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

// extremeContext is the context of PresetMemoryExtreme, in tokens.
const extremeContext = 2048

// Preset is the preset that the model runs with, and what it means for this model, or why PresetAuto chose it.
func (m *Model) Preset() (p Preset, reason string) { return m.preset, m.presetReason }

// resolvePreset gives o the values of its preset where it leaves them open, and says what they are.
func (o *Options) resolvePreset(ck *checkpoint.Checkpoint) (own *Options, reason string) {
	if o.Preset != PresetAuto {
		own = o.apply(o.Preset, ck)
		return own, own.explain(ck)
	}
	machine, _ := ThisMachine() // check has seen its error
	for _, p := range []Preset{PresetDefault, PresetMemory, PresetMemoryExtreme} {
		own = o.apply(p, ck)
		need := own.memory(ck)
		switch {
		case machine.MemoryAvailable == 0:
			return own, "auto: this machine does not tell its memory, so nothing is saved"
		case need <= machine.MemoryAvailable:
			return own, fmt.Sprintf("auto chose %s: %.1f GB needed, %.1f GB available", cmp.Or(string(p), "no preset"), gigabytes(need), gigabytes(machine.MemoryAvailable)) + also(own.explain(ck))
		}
	}
	return own, fmt.Sprintf("auto chose %s, and even that needs %.1f GB of %.1f GB available",
		own.Preset, gigabytes(own.memory(ck)), gigabytes(machine.MemoryAvailable)) + also(own.explain(ck))
}

func gigabytes(n int64) float64 { return float64(n) / 1e9 }

// apply is o with what p says where o leaves things open.
func (o *Options) apply(p Preset, ck *checkpoint.Checkpoint) *Options {
	own := *o
	if own.Preset = p; p != PresetMemory && p != PresetMemoryExtreme {
		return &own
	}
	own.KVType, own.PrefixMemory = cmp.Or(o.KVType, "int8"), cmp.Or(o.PrefixMemory, -1)
	if p == PresetMemoryExtreme {
		own.ContextLength, own.Parallel = cmp.Or(o.ContextLength, min(extremeContext, ck.Config.MaxPositions)), cmp.Or(o.Parallel, 1)
	}
	return &own
}

// memory is about what the model and one full context take, in bytes.
func (o *Options) memory(ck *checkpoint.Checkpoint) int64 {
	kv, err := kvType(o, ck)
	if err != nil {
		kv = gemma2.KVF32 // opening the model refuses it
	}
	return load.Need(ck).Weights + gemma2.NewPool(&ck.Config, kv, 0).Need(cmp.Or(o.ContextLength, ck.Config.MaxPositions)) + scratch
}

// explain says what a preset that saves memory does; empty for others.
func (o *Options) explain(ck *checkpoint.Checkpoint) string {
	if o.Preset != PresetMemory && o.Preset != PresetMemoryExtreme {
		return ""
	}
	text := fmt.Sprintf("keys and values are %s, and forgotten when a request ends", o.KVType)
	if o.Preset == PresetMemoryExtreme {
		text += fmt.Sprintf("; the context is %d tokens, for %d request(s) at a time", o.ContextLength, o.Parallel)
	}
	text += "; weights stay as the file has them"
	if !quantised(ck) {
		text += ": convert the model to w8a8 or w4 for a half or a quarter of their memory"
	}
	return text
}

// also is text after a semicolon, if there is any.
func also(text string) string {
	if text == "" {
		return ""
	}
	return "; " + text
}
