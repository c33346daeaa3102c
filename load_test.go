package systemgemma

import (
	"context"
	"errors"
	"testing"
)

// What opening is said to take is what an opened model has.
func TestForecastOpen(t *testing.T) {
	m, err := Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f, err := ForecastOpen("", nil)
	if err != nil {
		t.Fatal(err)
	}
	info := m.Info()
	if f.WeightBytes != info.Bytes || f.Parameters != info.Parameters || f.Context != m.ContextLength() || f.KVBytes <= 0 {
		t.Errorf("%+v, want %d bytes, %d parameters, %d tokens", f, info.Bytes, info.Parameters, m.ContextLength())
	}
	half, err := ForecastOpen(Mini, &Options{ContextLength: m.ContextLength() / 2, KVType: "f32", Draft: Mini})
	if err != nil || half.WeightBytes != 2*f.WeightBytes || half.Context != m.ContextLength()/2 {
		t.Errorf("%+v, %v", half, err)
	}
	if _, err := ForecastOpen("nothing-here", nil); err == nil {
		t.Error("want an error")
	}
	if _, err := ForecastOpen("", &Options{KVType: "f64"}); err == nil {
		t.Error("want an error")
	}
}

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
