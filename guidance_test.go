package systemgemma_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// Guidance chooses the tokens of transformers, from the same scores.
func TestGuidanceAsTransformers(t *testing.T) {
	m := open(t, filepath.Join("testdata", "sampling", "beam-model"), &systemgemma.Options{Threads: 1})
	n := 0
	for c := range golden.Lines[struct {
		Scale    float64   `json:"guidance_scale"`
		InputIDs []int32   `json:"input_ids"`
		Negative []int32   `json:"negative_prompt_ids"`
		Sequence []int32   `json:"sequence"`
		Scores   []float64 `json:"scores_first"`
	}](t, filepath.Join("testdata", "guidance", "guidance.jsonl")) {
		n++
		o := &systemgemma.GenerateOptions{
			MaxTokens: 12, Explain: 64, Guidance: &systemgemma.Guidance{Scale: c.Scale, Negative: systemgemma.Prompt{IDs: c.Negative}},
			Sampling: &systemgemma.Sampling{},
		}
		var ids []int32
		for e, err := range m.Generate(context.Background(), systemgemma.Prompt{IDs: c.InputIDs}, o) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Result != nil {
				ids = e.Result.IDs
				continue
			}
			if ids != nil {
				continue // scores of the first token are known
			}
			if len(e.Steps) < 2 || e.Steps[1].Name != "guidance" || len(e.Steps[1].Best) != 64 {
				t.Fatalf("case %d: want guidance first, for all 64 tokens, found %+v", n, e.Steps)
			}
			for _, x := range e.Steps[1].Best {
				if int(x.ID) < len(c.Scores) && math.Abs(float64(x.Score)-c.Scores[x.ID]) > 1e-4 {
					t.Errorf("case %d: token %d has the score %v, want %v", n, x.ID, x.Score, c.Scores[x.ID])
				}
			}
			ids = []int32{e.ID}
		}
		if !slices.Equal(ids, c.Sequence) {
			t.Errorf("case %d (scale %v): %v, want %v", n, c.Scale, ids, c.Sequence)
		}
	}
	golden.Count(t, n)
}
