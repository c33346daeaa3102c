package cli

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// tensors are the numbers of a safetensors file.
func tensors[T any](t *testing.T, path, name string) []T {
	t.Helper()
	f, err := safetensors.Parse(golden.Read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	x, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("%s has no tensor %s", path, name)
	}
	n := 1
	for _, d := range x.Shape {
		n *= d
	}
	data := make([]T, n)
	if _, err := binary.Decode(x.Data, binary.LittleEndian, data); err != nil {
		t.Fatal(err)
	}
	return data
}

// What run and score write for the tiny models is what the reference implementation computes (tools/golden/models.py).
func TestGoldenRunAndScore(t *testing.T) {
	models, err := filepath.Glob(filepath.Join(golden.Dir(t, "models"), "*", "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, expected := range models {
		dir := filepath.Dir(expected)
		if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
			continue
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			goldenRun(t, dir, tensors[int32](t, expected, "greedy_ids"))
			goldenScore(t, dir, tensors[int32](t, expected, "input_ids"), tensors[float32](t, expected, "score_logprobs"), tensors[float32](t, expected, "logits"))
		})
		n++
	}
	golden.Count(t, n)
}

// goldenRun continues the first 12 ids greedily.
func goldenRun(t *testing.T, dir string, ids []int32) {
	p := newProcess("")
	prompt := strings.ReplaceAll(strings.Trim(fmt.Sprint(ids[:12]), "[]"), " ", ",")
	status := p.run(t, "run", "-m", dir, "--ids", prompt, "--json", "--temperature", "0", "--ignore-eos", "--max-tokens", fmt.Sprint(len(ids)-12))
	var got answerJSON
	if err := json.Unmarshal([]byte(p.out.String()), &got); err != nil || status != 0 {
		t.Fatalf("run: status %d, %v, stderr %q", status, err, p.err.String())
	}
	if !slices.Equal(got.IDs, ids[12:]) || !slices.Equal(got.PromptIDs, ids[:12]) || got.Text != nil || got.FinishReason != "length" {
		t.Errorf("run: %s, want ids %v", p.out.String(), ids[12:])
	}
}

// tolerance of log probabilities and logits: float32 rounding alone makes up to 5e-4 (golden/models/README.md).
const tolerance = 2e-3

func goldenScore(t *testing.T, dir string, ids []int32, logprobs, logits []float32) {
	line, err := json.Marshal(map[string]any{"ids": ids})
	if err != nil {
		t.Fatal(err)
	}
	p := newProcess(string(line))
	file := filepath.Join(t.TempDir(), "logits.safetensors")
	status := p.run(t, "score", "-m", dir, "--preset", "exact", "--logits", file)
	var got scoreResponse
	if err := json.Unmarshal([]byte(p.out.String()), &got); err != nil || status != 0 || len(got.Logprobs) != len(logprobs) {
		t.Fatalf("score: status %d, %v, stderr %q, %d logprobs, want %d", status, err, p.err.String(), len(got.Logprobs), len(logprobs))
	}
	sum := 0.0
	for i, lp := range got.Logprobs {
		sum += lp
		if math.Abs(lp-float64(logprobs[i])) > tolerance {
			t.Errorf("logprob %d = %v, want %v", i, lp, logprobs[i])
		}
	}
	if math.Abs(sum-got.Sum) > 1e-6 {
		t.Errorf("sum = %v, want %v", got.Sum, sum)
	}
	written := tensors[float32](t, file, "logits.0")
	if len(written) != len(logits) {
		t.Fatalf("%d logits written, want %d", len(written), len(logits))
	}
	for i, x := range written {
		if math.Abs(float64(x-logits[i])) > tolerance {
			t.Fatalf("logit %d = %v, want %v", i, x, logits[i])
		}
	}
}

// Without a tokenizer only ids go in and out; what needs text says so.
func TestModelWithoutTokenizer(t *testing.T) {
	dir := filepath.Join("testdata", "models", "one-layer-f32")
	for _, args := range [][]string{{"run", "hi"}, {"run", "--raw", "hi"}, {"run", "--ids", "2,3"}, {"run", "--plain"}, {"tokenize", "hi"}, {"template", "hi"}, {"score", "hi"}} {
		p := newProcess("")
		if status := p.run(t, append(args, "-m", dir)...); status != 1 || !strings.Contains(p.err.String(), "token") {
			t.Errorf("%q: status %d, stderr %q; want 1 and a word about the tokenizer", args, status, p.err.String())
		}
	}
	p := newProcess("")
	if status := p.run(t, "show", "-m", dir); status != 0 || !strings.Contains(p.out.String(), "tokenizer        none") {
		t.Errorf("show: status %d: %s", status, p.out.String())
	}
}
