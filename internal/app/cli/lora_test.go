package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// run and score with --lora give what the reference computes with that adapter.
func TestGoldenLoRA(t *testing.T) {
	t.Chdir(filepath.Join("..", "..", "checkpoint", "peft")) // whose testdata is the sample
	dir := golden.Dir(t, "lora")
	base := filepath.Join(dir, "base")
	adapters, err := filepath.Glob(filepath.Join(dir, "*", "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range adapters {
		folder := filepath.Dir(file)
		if folder == base {
			continue
		}
		ids := tensors[int32](t, file, "greedy_ids")
		prompt := strings.ReplaceAll(strings.Trim(fmt.Sprint(ids[:8]), "[]"), " ", ",")
		p := newProcess("")
		status := p.run(t, "run", "-m", base, "--lora", folder, "--ids", prompt, "--json", "--temperature", "0", "--ignore-eos", "--max-tokens", fmt.Sprint(len(ids)-8))
		var got answerJSON
		if err := json.Unmarshal([]byte(p.out.String()), &got); err != nil || status != 0 || !slices.Equal(got.IDs, ids[8:]) {
			t.Errorf("%s: status %d, %v, %s%s, want ids %v", filepath.Base(folder), status, err, p.out.String(), p.err.String(), ids[8:])
		}
		n++
	}
	input := tensors[int32](t, filepath.Join(base, "expected.safetensors"), "input_ids")
	line, err := json.Marshal(map[string]any{"ids": input})
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain-r4-qv")
	for scale, want := range map[string][]float32{
		":0":   tensors[float32](t, filepath.Join(base, "expected.safetensors"), "logits"),
		":0.5": tensors[float32](t, filepath.Join(plain, "expected.safetensors"), "logits_scale_0.5"),
		"":     tensors[float32](t, filepath.Join(plain, "expected.safetensors"), "logits"),
	} {
		file := filepath.Join(t.TempDir(), "logits.safetensors")
		p := newProcess(string(line))
		if status := p.run(t, "score", "-m", base, "--lora", plain+scale, "--logits", file); status != 0 {
			t.Fatalf("score: status %d, %s", status, p.err.String())
		}
		got := tensors[float32](t, file, "logits.0")
		for i, x := range want {
			if !(math.Abs(float64(got[i]-x)) <= 1e-3) {
				t.Fatalf("score, scale %q: logit %d = %g, want %g", scale, i, got[i], x)
			}
		}
		n++
	}
	golden.Count(t, n)
}

func TestLoRAArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("odd:2", 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]lora{
		"a": {"a", 1}, "a:0.5": {"a", 0.5}, "a:-1": {"a", -1}, "a:0": {"a", 0}, "odd:2": {"odd:2", 1}, "odd:2:3": {"odd:2", 3}, `C:\a`: {`C:\a`, 1}, "C:/a:2": {"C:/a", 2},
	} {
		var l lora
		if err := l.UnmarshalText([]byte(text)); err != nil || l != want {
			t.Errorf("%q: %+v, %v, want %+v", text, l, err, want)
		}
	}
	for _, text := range []string{"", "a:", "a:x", "a:NaN", "a:inf", ":1"} {
		var l lora
		if err := l.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %+v, want an error", text, l)
		}
	}
	p := newProcess("")
	if status := p.run(t, "run", "--lora", "missing", "hi"); status != 1 || !strings.Contains(p.err.String(), "--lora: adapter missing: want a PEFT folder or a GGUF adapter, found nothing") {
		t.Errorf("missing adapter: status %d, %s", status, p.err.String())
	}
}
