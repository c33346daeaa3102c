package systemgemma_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// withGeneration opens the tiny model with a generation_config.json.
func withGeneration(t *testing.T, text string) *systemgemma.Model {
	t.Helper()
	dir := t.TempDir()
	for name := range map[string]bool{"config.json": true, "model.safetensors": true} {
		data, err := os.ReadFile(filepath.Join("testdata", "sampling", "beam-model", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, &systemgemma.Options{Threads: 1})
}

// What a generation_config.json says is done where options leave it open, and what is not done is told.
func TestGenerationConfigCounts(t *testing.T) {
	prompt := systemgemma.Prompt{IDs: []int32{2, 30, 48, 58, 57}}
	plain := generated(t, withGeneration(t, `{}`), prompt, &systemgemma.GenerateOptions{MaxTokens: 6})
	m := withGeneration(t, `{"suppress_tokens": [46], "max_new_tokens": 9, "min_new_tokens": 3, "no_repeat_ngram_size": 2, "bad_words_ids": [[3, 4]],
		"forced_eos_token_id": 1, "num_beams": 4, "typical_p": 0.5}`)
	r := generated(t, m, prompt, nil)
	if !slices.Contains(plain.IDs, 46) || slices.Contains(r.IDs, 46) || len(r.IDs) > 9 || len(r.IDs) < 3 || len(r.IDs) == 9 && r.IDs[8] != 1 {
		t.Errorf("without settings %v, with them %v", plain.IDs, r.IDs)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "num_beams 4") || plain.Warnings != nil {
		t.Errorf("warnings %q, without settings %q", r.Warnings, plain.Warnings)
	}
	s, i := m.DefaultSampling(), m.Info().Generation
	if s.NoRepeatNgram != 2 || len(s.BadWordIDs) != 1 || s.TypicalP != 0 || i == nil || i.MaxTokens != 9 || i.MinTokens != 3 || !slices.Equal(i.Left, []string{"num_beams 4"}) {
		t.Errorf("sampling %+v, generation %+v", s, i)
	}
	if s := withGeneration(t, `{"do_sample": true, "typical_p": 0.5, "eta_cutoff": 0.001}`).DefaultSampling(); s.TypicalP != 0.5 || s.EtaCutoff != 0.001 || s.Temperature != 1 {
		t.Errorf("sampling %+v", s)
	}
}

// Presets that save memory change what options leave open, and say so; auto takes the first that fits, which for mini is none.
func TestPresets(t *testing.T) {
	m := open(t, "", &systemgemma.Options{Preset: systemgemma.PresetMemoryExtreme})
	if p, reason := m.Preset(); p != systemgemma.PresetMemoryExtreme || m.ContextLength() != 2048 || !strings.Contains(reason, "keys and values are int8") {
		t.Errorf("%s: %s; context %d", p, reason, m.ContextLength())
	}
	if m = open(t, "", &systemgemma.Options{Preset: systemgemma.PresetMemory, KVType: "f16"}); m.ContextLength() < 2048 {
		t.Errorf("context %d", m.ContextLength())
	}
	if _, reason := m.Preset(); !strings.Contains(reason, "keys and values are f16") {
		t.Errorf("reason %q", reason)
	}
	auto := open(t, "", &systemgemma.Options{Preset: systemgemma.PresetAuto})
	if p, reason := auto.Preset(); !strings.HasPrefix(reason, "auto") || p == systemgemma.PresetAuto {
		t.Errorf("%s: %s", p, reason)
	}
	if p, reason := open(t, "", nil).Preset(); p != "" || reason != "" {
		t.Errorf("no preset: %s: %s", p, reason)
	}
	if _, err := systemgemma.Open("", &systemgemma.Options{Preset: "fast"}); err == nil || !strings.Contains(err.Error(), "preset: want exact, speed, memory, memory_extreme, auto or none") {
		t.Errorf("error %v", err)
	}
}
