package cli

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// loraFlags name adapters.
type loraFlags struct {
	LoRA []lora `name:"lora" sep:"none" placeholder:"PATH[:SCALE]" group:"Model" help:"Use the LoRA adapter at PATH, a PEFT folder or a GGUF file, at strength SCALE: 1 (the default) is what it was trained for, 0 leaves it out. May be given several times."`
}

// lora is an adapter as people name it: PATH or PATH:SCALE.
type lora struct {
	path  string
	scale float32
}

// UnmarshalText splits off the scale, unless the whole is a path that exists.
func (l *lora) UnmarshalText(text []byte) error {
	l.path, l.scale = string(text), 1
	if _, err := os.Stat(l.path); err != nil {
		if i := strings.LastIndexByte(l.path, ':'); i >= 0 {
			x, err := strconv.ParseFloat(l.path[i+1:], 32)
			switch {
			case err != nil && !strings.ContainsAny(l.path[i+1:], `/\`):
				return fmt.Errorf("want PATH:SCALE with a number as scale, found %q", l.path)
			case math.IsNaN(x) || math.IsInf(x, 0):
				return fmt.Errorf("want a finite scale, found %q", l.path[i+1:])
			case err == nil:
				l.path, l.scale = l.path[:i], float32(x)
			}
		}
	}
	if l.path == "" {
		return fmt.Errorf("want PATH or PATH:SCALE, found %q", text)
	}
	return nil
}

// open opens the adapters for m, those that it carries before those of the command line. One of scale 0 is checked, and left out.
func (f *loraFlags) open(ctx context.Context, env *Env, m *systemgemma.Model, carried []string) ([]systemgemma.AdapterUse, error) {
	if len(f.LoRA)+len(carried) == 0 {
		return nil, nil
	}
	defer env.waiting("opening adapters").Stop()
	return await(ctx, func() (uses []systemgemma.AdapterUse, err error) {
		for _, path := range carried {
			a, err := m.OpenAdapter(path)
			if err != nil {
				return nil, fmt.Errorf("the model's adapter: %w", err)
			}
			uses = append(uses, systemgemma.AdapterUse{Adapter: a, Scale: 1})
		}
		for _, l := range f.LoRA {
			a, err := m.OpenAdapter(l.path)
			if err != nil {
				return nil, fmt.Errorf("--lora: %w", err)
			}
			if l.scale != 0 {
				uses = append(uses, systemgemma.AdapterUse{Adapter: a, Scale: l.scale})
			}
		}
		return uses, nil
	})
}
