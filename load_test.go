package systemgemma

import (
	"context"
	"errors"
	"testing"
)

func TestLoad(t *testing.T) {
	m, err := Open("", &Options{KVMemory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if l := m.Load(); l != (Load{KVLimit: 64 << 20}) {
		t.Errorf("at rest: %+v", l)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for e, err := range m.Generate(ctx, Prompt{Text: "a"}, &GenerateOptions{IgnoreEOS: true}) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if e.ID >= 0 && ctx.Err() == nil {
			if l := m.Load(); l.Running != 1 || l.Waiting != 0 || l.KVPinned <= 0 || l.KVBytes < l.KVPinned {
				t.Errorf("with one request: %+v", l)
			}
			cancel()
		}
	}
}
