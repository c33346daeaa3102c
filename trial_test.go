package systemgemma

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// Threads, processors and chunks change no bit of an answer.
func TestTuningChangesNoBit(t *testing.T) {
	machine, err := ThisMachine()
	if err != nil {
		t.Fatal(err)
	}
	var one []int
	if len(machine.CoreKinds) > 0 {
		one = machine.CoreKinds[0][:1]
	}
	answer := func(o *Options) (ids []int32, logprobs []float64) {
		m, err := Open(Mini, o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		messages := []Message{{Role: "system", Content: "Talk like a pirate."}, {Role: "user", Content: strings.Repeat("word ", 150) + "What is the capital of France?"}}
		n := 1
		for e, err := range m.Chat(context.Background(), messages, &ChatOptions{GenerateOptions: GenerateOptions{MaxTokens: 12, TopLogprobs: n}}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Result != nil {
				ids, logprobs = e.Result.IDs, e.Result.Logprobs
			}
		}
		return ids, logprobs
	}
	ids, logprobs := answer(nil)
	if len(ids) == 0 || len(logprobs) != len(ids) {
		t.Fatalf("%d ids, %d logprobs", len(ids), len(logprobs))
	}
	for _, o := range []Options{{PrefillChunk: 1}, {PrefillChunk: 7, Threads: 3}, {PrefillChunk: 128, Threads: 2, Cores: one}, {Cores: one}} {
		if i, l := answer(&o); !slices.Equal(i, ids) || !slices.Equal(l, logprobs) {
			t.Errorf("%+v: %v %v, want %v %v", o, i, l, ids, logprobs)
		}
	}
	for _, o := range []Options{{PrefillChunk: 129}, {PrefillChunk: -1}, {Cores: []int{-1}}, {Cores: []int{1 << 20}}} {
		if m, err := Open(Mini, &o); err == nil {
			_ = m.Close()
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestTrials(t *testing.T) {
	m, err := Open(Mini, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, layers := range []int{1, 2, 0} {
		x, err := m.NewTrials(layers)
		if err != nil {
			t.Fatal(err)
		}
		if used, all := x.Layers(); all != m.Info().Config.NumLayers || layers > 0 && used != layers || layers == 0 && used != all {
			t.Errorf("%d layers: %d of %d", layers, used, all)
		}
		for _, tuning := range []Tuning{{}, {Threads: 1}, {Threads: 2, PrefillChunk: 3}, {}} {
			prefill, decode, err := x.Measure(context.Background(), tuning, 20, 2)
			if err != nil || prefill <= 0 || decode <= 0 {
				t.Errorf("%+v: %v, %v, %v", tuning, prefill, decode, err)
			}
		}
		for _, n := range [][2]int{{0, 1}, {1, -1}, {m.ContextLength(), 1}} {
			if _, _, err := x.Measure(context.Background(), Tuning{}, n[0], n[1]); err == nil {
				t.Errorf("prompt and answer %v were measured", n)
			}
		}
		if _, _, err := x.Measure(context.Background(), Tuning{Threads: -1}, 1, 1); err == nil {
			t.Error("-1 threads were measured")
		}
		x.Close()
	}
	for _, layers := range []int{-1, 1000} {
		if _, err := m.NewTrials(layers); err == nil {
			t.Errorf("%d layers were measured", layers)
		}
	}
	if f32, used := m.KVMemory("f32", 100); f32 <= 0 || used {
		t.Errorf("f32: %d bytes, used %v", f32, used)
	}
	f16, used := m.KVMemory("f16", 100)
	if i8, _ := m.KVMemory("int8", 100); !used || i8 >= f16 {
		t.Errorf("f16: %d bytes, used %v; int8: %d", f16, used, i8)
	}
	if n, _ := m.KVMemory("f8", 100); n != 0 {
		t.Errorf("f8: %d bytes", n)
	}
}
