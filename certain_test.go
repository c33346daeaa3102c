package systemgemma

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/decode/constrained"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/engine"
)

// unsure hides what a sampler knows to be certain.
type unsure struct{ *constrained.Sampler }

func (unsure) Certain(dst []int32, _ int) []int32 { return dst }

// Tokens that are certain change nothing but the number of steps.
func TestCertainTokensChangeNothing(t *testing.T) {
	m, err := Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	prompt := []int32{2, 300, 400, 500}
	for i, o := range []GenerateOptions{
		{Format: &Format{JSONSchema: json.RawMessage(`{"properties":{"description":{"maxLength":9,"type":"string"},"quantity":{"type":"integer"},"kind":{"enum":["wonderful","wonderland"]}},"required":["description","quantity","kind"]}`)}},
		{Format: &Format{Regex: `The capital of (France|Germany) is [A-Z][a-z]{2,9}, and that is well known\.`}},
		{Format: &Format{GBNF: "root ::= \"this text can't be any other one, \u00e9\u20ac\""}},
	} {
		for _, s := range []sampler.Params{{}, {Temperature: 1, Seed: 3, TopP: 0.9, FrequencyPenalty: 0.5}} {
			run := func(hide bool) (tokens []engine.Token, st engine.Stats) {
				inner, err := sampler.New(s)
				if err != nil {
					t.Fatal(err)
				}
				o.MaxTokens = 80
				c, err := m.constrain(t.Context(), inner, len(prompt), &o)
				if err != nil {
					t.Fatal(err)
				}
				r := engine.Request{Prompt: prompt, Sampler: c, Stop: m.stopIDs, MaxTokens: o.MaxTokens}
				if hide {
					r.Sampler = unsure{c}
				}
				reason, st, err := m.engine.Generate(context.Background(), r, func(x engine.Token) bool {
					tokens = append(tokens, x)
					return true
				})
				if err != nil || reason != engine.ReasonStop || !c.Complete() {
					t.Fatalf("%d: %s, %v", i, reason, err)
				}
				return tokens, st
			}
			with, st := run(false)
			without, plain := run(true)
			if !slices.Equal(with, without) || st.CertainTokens < 5 || plain.CertainTokens != 0 {
				t.Errorf("%d, %+v: %v with %d certain tokens, %v without", i, s, with, st.CertainTokens, without)
			}
		}
	}
}
