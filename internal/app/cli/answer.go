package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
)

// answer shows one answer of `systemgemma run`.
type answer struct {
	command  *runCmd
	hasText  bool // the model has a tokenizer
	load     time.Duration
	warnings []string
	piece    func(id int32) string
	steps    []steps // with --explain --json
	told     int     // tokens explained
}

// answerJSON is what run --json writes (docs/design.md section 9).
type answerJSON struct {
	Text         *string  `json:"text"` // null without a tokenizer
	IDs          []int32  `json:"ids"`  // generated only
	PromptIDs    []int32  `json:"prompt_ids"`
	FinishReason string   `json:"finish_reason"`
	Stop         *string  `json:"stop"` // the stop text that ended it
	Counts       counts   `json:"counts"`
	Seconds      seconds  `json:"seconds"`
	Seed         uint64   `json:"seed"` // 0: greedy
	Warnings     []string `json:"warnings"`
	Cut          bool     `json:"cut"`                        // it has only a part of the format that it was held to
	Score        *float64 `json:"score,omitempty"`            // with --beams: what answers are ordered by
	Healed       string   `json:"healed,omitempty"`           // with --heal: the end of the prompt that text goes on after
	Dropped      int      `json:"dropped_messages,omitempty"` // with --context-overflow: left out

	Logprobs          []float64                    `json:"logprobs,omitempty"` // of ids, with --logprobs
	TopLogprobs       [][]systemgemma.TokenLogprob `json:"top_logprobs,omitempty"`
	PromptLogprobs    []float64                    `json:"prompt_logprobs,omitempty"` // of prompt_ids after the first
	PromptTopLogprobs [][]systemgemma.TokenLogprob `json:"prompt_top_logprobs,omitempty"`
	Explain           []steps                      `json:"explain,omitempty"`
}

type counts struct {
	PromptTokens     int `json:"prompt_tokens"`
	CachedTokens     int `json:"cached_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	DraftedTokens    int `json:"drafted_tokens,omitempty"`  // guessed
	AcceptedTokens   int `json:"accepted_tokens,omitempty"` // of these, guessed rightly
	CertainTokens    int `json:"certain_tokens,omitempty"`  // that the format left no choice for
}

type seconds struct {
	Load    float64 `json:"load"`
	TTFT    float64 `json:"ttft"`
	Prefill float64 `json:"prefill"`
	Decode  float64 `json:"decode"`
}

// run shows the answer as it comes, or as JSON at its end. A cancelled answer is shown as far as it came.
func (a *answer) run(env *Env, events iter.Seq2[systemgemma.Event, error]) error {
	result, err, shown := a.stream(env, events)
	if shown != nil || result == nil {
		return errors.Join(shown, err)
	}
	return errors.Join(a.show(env, result), err)
}

// show writes what there is besides the text.
func (a *answer) show(env *Env, result *systemgemma.Result) (shown error) {
	result.Warnings = append(slices.Clone(a.warnings), result.Warnings...)
	if a.command.JSON {
		shown = a.json(env, result)
	} else {
		shown = warn(env, result.Warnings)
	}
	if a.command.Stats {
		shown = errors.Join(shown, a.stats(env, result))
	}
	return errors.Join(shown, cut(result))
}

func (a *answer) stream(env *Env, events iter.Seq2[systemgemma.Event, error]) (result *systemgemma.Result, err, shown error) {
	status := env.waiting("reading the prompt")
	defer status.Stop()
	last := "\n"
	for e, eventErr := range events {
		result, err = e.Result, eventErr
		if p := e.Progress; p != nil {
			status.Set("reading the prompt: %d of %d tokens", p.Done, p.Total)
			continue
		}
		if a.command.Explain > 0 {
			if shown = a.explain(env, e); shown != nil {
				return result, err, shown
			}
			continue
		}
		if e.Text == "" || a.command.JSON {
			continue
		}
		status.Stop()
		last = e.Text
		if shown = write(env.Stdout, e.Text); shown != nil {
			return result, err, shown
		}
	}
	if !strings.HasSuffix(last, "\n") {
		shown = write(env.Stdout, "\n")
	}
	return result, err, shown
}

// explain shows a token's steps, or keeps them for the JSON object.
func (a *answer) explain(env *Env, e systemgemma.Event) error {
	switch {
	case e.Steps == nil:
		return nil
	case a.command.JSON:
		a.steps = append(a.steps, steps{e.ID, a.piece(e.ID), e.Steps})
		return nil
	}
	a.told++
	var b strings.Builder
	tellSteps(&b, a.told, e, a.piece)
	return write(env.Stdout, b.String())
}

func (a *answer) json(env *Env, r *systemgemma.Result) error {
	out := answerJSON{
		IDs: list(r.IDs), PromptIDs: list(r.PromptIDs), FinishReason: string(r.FinishReason), Seed: r.Seed, Warnings: list(r.Warnings), Cut: r.Cut,
		Counts:  counts{len(r.PromptIDs), r.CachedTokens, len(r.IDs), r.DraftedTokens, r.AcceptedTokens, r.CertainTokens},
		Seconds: seconds{a.load.Seconds(), r.TTFT.Seconds(), r.Prefill.Seconds(), r.Decode.Seconds()},
	}
	if a.hasText {
		out.Text = &r.Text
	}
	if a.command.Logprobs != nil {
		out.Logprobs, out.TopLogprobs = r.Logprobs, r.Top
	}
	if a.command.PromptLogprobs {
		out.PromptLogprobs, out.PromptTopLogprobs = r.PromptLogprobs, r.PromptTop
	}
	out.Explain = a.steps
	out.Healed, out.Dropped = r.Healed, r.DroppedMessages
	if a.command.Beams > 0 {
		out.Score = &r.Score
	}
	if r.Stop != "" {
		out.Stop = &r.Stop
	}
	e := json.NewEncoder(env.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

// list is s, which JSON shall not show as null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (a *answer) stats(env *Env, r *systemgemma.Result) error {
	machine, err := systemgemma.ThisMachine()
	memory := ""
	if err == nil && machine.PeakMemory > 0 {
		memory = ", peak memory " + size(machine.PeakMemory)
	}
	return write(env.Stderr, fmt.Sprintf("load %.3f s%s\n%s\n", a.load.Seconds(), memory, chat.Stats(r)))
}
