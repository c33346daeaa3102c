package option

import (
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// numBeams asks for a beam search, by transformers' name. 1 is none.
func numBeams(r *reader, name string) error {
	if raw, _ := r.Peek(name); r.limits.Beams < 2 && string(raw) != "1" {
		return problem.Unsupported(r.Name(name), "not supported here; /v1/chat/completions, /v1/completions and /completion know it")
	}
	n, _, err := r.Int(name, 1, max(1, min(r.limits.Beams, systemgemma.MaxBeams)))
	if err == nil && n > 1 {
		r.a.Beams = &systemgemma.Beams{Beams: n}
	}
	return err
}

// lengthPenalty comes after num_beams.
func lengthPenalty(r *reader, name string) error {
	x, _, err := r.Number(name, -100, 100)
	switch {
	case err != nil:
		return err
	case r.a.Beams != nil:
		r.a.Beams.LengthPenalty = &x
	case x != 1:
		return r.Invalid(name, "want num_beams above 1 beside it")
	}
	return nil
}

// earlyStopping comes after num_beams: true, false or "never".
func earlyStopping(r *reader, name string) error {
	raw, _ := r.Raw(name)
	value := strings.Trim(string(raw), `"`)
	switch {
	case !slices.Contains([]string{"true", "false", `"never"`}, string(raw)):
		return r.wrong(name, `true, false or "never"`, raw)
	case r.a.Beams != nil:
		r.a.Beams.EarlyStopping = value
	case value != "false":
		return r.Invalid(name, "want num_beams above 1 beside it")
	}
	return nil
}

// checkBeams is Check of what a search is asked for.
func (a *Answer) checkBeams() error {
	switch {
	case a.N > a.Beams.Beams:
		return problem.Invalid("n", "want at most num_beams = %d answers, found %d", a.Beams.Beams, a.N)
	case a.BestOf != 0:
		return problem.Invalid("best_of", "want n instead beside num_beams: its answers are the best")
	case a.drawn:
		return problem.Invalid("temperature", "want none, or 0, beside num_beams: a beam search draws nothing")
	case a.Sampling.Mirostat != 0:
		return problem.Invalid("mirostat", "want none beside num_beams: a beam search draws nothing")
	case a.MaxTokensGiven && a.MaxTokens == 0:
		return problem.Invalid("max_tokens", "want 1 or more beside num_beams, found 0")
	}
	a.Beams.Return = a.N
	a.Sampling.Temperature = 0 // the model's own is for drawing
	return nil
}

// CheckBeams refuses what a beam search can't honour, when the dialect has set its part. stream: the answer is wanted in pieces.
func (a *Answer) CheckBeams(stream bool) error {
	if a.Beams == nil {
		return nil
	}
	for _, x := range []struct {
		name string
		used bool
	}{
		{"stream", stream}, {"response_format, grammar or forced tool call", a.Format != nil}, {"guidance_scale", a.Guidance != nil}, {"token_healing", a.Heal},
		{"prompt_lookup_num_tokens", a.Lookup}, {"prediction", a.Prediction != ""}, {"explain", a.Explain > 0}, {"log probabilities of other tokens", a.TopLogprobs > 0},
		{"log probabilities of the prompt", a.PromptLogprobs},
	} {
		if x.used {
			return problem.Unsupported("num_beams", "want no %s beside it", x.name)
		}
	}
	return nil
}
