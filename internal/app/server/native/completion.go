package native

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
)

// maxProbs is how many of the best tokens a request may ask for.
const maxProbs = 100

// completion is a request of POST /completion.
type completion struct {
	*talk.Request
	ids    []int32
	text   string // the prompt, for the answer
	none   bool   // n_predict 0: only the prompt is wanted
	stream bool
	tokens bool     // tell ids
	each   bool     // tell timings with each piece
	only   []string // fields that the answer shall have; none: all
}

// complete answers POST /completion, in llama.cpp's form.
func (d *dialect) complete(w http.ResponseWriter, r *http.Request) error {
	f, lease, err := d.open(r)
	if err != nil {
		return err
	}
	defer lease.Release()
	c := &completion{Request: talk.New(lease)}
	if err := c.read(f, d.server.Config().MaxN); err != nil {
		return err
	}
	server.Unknown(r, f)
	if c.Want.Beams != nil {
		return c.search(w, r)
	}
	events := lease.Generate(r.Context(), systemgemma.Prompt{IDs: c.ids}, &c.Want.GenerateOptions)
	if c.none {
		events = c.promptOnly(events)
	}
	if !c.stream {
		return c.whole(w, events)
	}
	out := server.NewEvents(w, r)
	defer out.Close()
	return out.Failed(c.pieces(out, events), func(e *problem.Error) error { return out.Send(server.OpenAIError(e)) })
}

func (c *completion) read(f *option.Fields, maxN int) error {
	raw, given := f.Raw("prompt")
	if !given {
		return f.Invalid("prompt", "want a text, a list of token ids, or a list of both; found none")
	}
	var err error
	for _, x := range []struct {
		name string
		to   *bool
	}{{"stream", &c.stream}, {"return_tokens", &c.tokens}, {"timings_per_token", &c.each}} {
		if *x.to, _, err = f.Bool(x.name); err != nil {
			return err
		}
	}
	progress, _, err := f.Bool("return_progress")
	if err != nil {
		return err
	}
	if c.Want.TopLogprobs, _, err = f.Int("n_probs", 0, maxProbs); err != nil {
		return err
	}
	if c.only, _, err = f.Texts("response_fields", 64, 128); err != nil {
		return err
	}
	if c.ids, err = mixed(c.Lease, "prompt", raw, true); err != nil {
		return err
	}
	if raw[0] == '"' || len(c.ids) == 0 || bytes.ContainsRune(raw, '"') {
		c.ids = withBOS(c.Lease, c.ids) // ids alone are taken as they are
	}
	if len(c.ids) == 0 {
		return f.Invalid("prompt", "want at least one token, found none")
	}
	if c.text, err = c.Lease.Model.Detokenize(c.ids); err != nil {
		return problem.OfModel(err)
	}
	if err := c.Read(option.Llama, maxN, f); err != nil {
		return err
	}
	if c.Want.Beams == nil && max(c.Want.N, c.Want.BestOf) > 1 {
		return problem.Unsupported("n", "want 1, or num_beams beside it; /v1/completions has several answers")
	}
	if err := c.Want.CheckBeams(c.stream); err != nil {
		return err
	}
	c.Progress(progress, c.stream)
	if c.Want.SystemMode != "" {
		return problem.Unsupported("system_mode", "a completion has no messages; /v1/chat/completions does")
	}
	if c.none = c.Want.MaxTokensGiven && c.Want.MaxTokens == 0; c.none {
		c.Want.MaxTokens, c.Want.Format = 1, nil
	}
	return nil
}

// promptOnly leaves out the one token that was computed beyond the prompt.
func (c *completion) promptOnly(events hosted.Events) hosted.Events {
	return func(yield func(systemgemma.Event, error) bool) {
		for e, err := range events {
			e.Text, e.ID, e.Top = "", -1, nil
			if e.Result != nil {
				x := *e.Result
				x.Text, x.IDs, x.FinishReason, x.Stop = "", nil, systemgemma.FinishLength, ""
				e.Result = &x
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// probability is a token's, as llama.cpp tells it.
type probability struct {
	ID      int32         `json:"id"`
	Token   string        `json:"token"`
	Bytes   []int         `json:"bytes"`
	Logprob float64       `json:"logprob"`
	Top     []probability `json:"top_logprobs,omitempty"`
}

func (c *completion) probability(e *systemgemma.Event) probability {
	of := func(id int32, lp float64) probability {
		return probability{ID: id, Token: pieces.Text(c.Lease.Model, id), Bytes: pieces.Bytes(c.Lease.Model, id), Logprob: pieces.Clamp(lp)}
	}
	x := of(e.ID, e.Logprob)
	for _, t := range e.Top {
		x.Top = append(x.Top, of(t.ID, t.Logprob))
	}
	return x
}

// part is a piece of the answer, or all of it but its end.
type part struct {
	Content  string           `json:"content"`
	Tokens   []int32          `json:"tokens"`
	Stop     bool             `json:"stop"`
	Index    int              `json:"index"`
	Slot     int              `json:"id_slot"`
	Probs    []probability    `json:"completion_probabilities,omitempty"`
	Timings  *timings         `json:"timings,omitempty"`
	Progress *pieces.Progress `json:"prompt_progress,omitempty"`
}

// take adds what an event says.
func (c *completion) take(p *part, e *systemgemma.Event) {
	p.Content += e.Text
	if e.ID < 0 || c.End[e.ID] {
		return
	}
	if c.tokens {
		p.Tokens = append(p.Tokens, e.ID)
	}
	if c.Want.TopLogprobs > 0 {
		p.Probs = append(p.Probs, c.probability(e))
	}
}

// whole answers at the end.
func (c *completion) whole(w http.ResponseWriter, events hosted.Events) error {
	p := part{Tokens: []int32{}, Slot: -1}
	for e, err := range events {
		if err != nil {
			return err
		}
		c.take(&p, &e)
		if e.Result != nil {
			x, err := c.end(p, e.Result)
			if err != nil {
				return err
			}
			return server.Reply(w, http.StatusOK, x)
		}
	}
	return nil
}

// search answers by beam search: one answer, or a list of them, the best one first.
func (c *completion) search(w http.ResponseWriter, r *http.Request) error {
	results, err := c.Search(r.Context(), systemgemma.Prompt{IDs: c.ids})
	if err != nil {
		return err
	}
	var all []any
	for i := range results {
		p := part{Content: results[i].Text, Tokens: []int32{}, Slot: -1, Index: i}
		for _, id := range results[i].IDs {
			c.take(&p, &systemgemma.Event{ID: id})
		}
		x, err := c.end(p, &results[i])
		if err != nil {
			return err
		}
		all = append(all, x)
	}
	if c.Want.N == 1 {
		return server.Reply(w, http.StatusOK, all[0])
	}
	return server.Reply(w, http.StatusOK, all)
}

// pieces streams. The last piece has no text, but all that is known at the end.
func (c *completion) pieces(out *server.Stream, events hosted.Events) error {
	plain, err := server.NewTemplate(1, func(texts []string) any { return part{Content: texts[0], Tokens: []int32{}, Slot: -1} })
	if err != nil {
		return err
	}
	p := part{Tokens: []int32{}, Slot: -1}
	start, n := time.Now(), 0
	for e, err := range events {
		if err != nil {
			return err
		}
		if e.Progress != nil {
			x := part{Tokens: []int32{}, Slot: -1, Progress: pieces.ProgressOf(e.Progress, 0)}
			if err := out.Send(x); err != nil {
				return err
			}
			continue
		}
		c.take(&p, &e)
		if e.ID >= 0 {
			n++
		}
		if p.Content != "" {
			if c.each {
				p.Timings = c.soFar(n, time.Since(start))
			}
			if len(p.Tokens) == 0 && p.Probs == nil && p.Timings == nil {
				err = out.SendText(plain, p.Content)
			} else {
				err = out.Send(p)
			}
			if err != nil {
				return err
			}
			p = part{Tokens: []int32{}, Slot: -1}
		}
		if e.Result == nil {
			continue
		}
		x, err := c.end(p, e.Result)
		if err != nil {
			return err
		}
		return out.Send(x)
	}
	return nil
}

// timings are llama.cpp's, in milliseconds.
type timings struct {
	PromptN         int     `json:"prompt_n"` // computed
	CacheN          int     `json:"cache_n"`
	PromptMS        float64 `json:"prompt_ms"`
	PromptPerSecond float64 `json:"prompt_per_second"`
	N               int     `json:"predicted_n"`
	MS              float64 `json:"predicted_ms"`
	PerTokenMS      float64 `json:"predicted_per_token_ms"`
	PerSecond       float64 `json:"predicted_per_second"`
	DraftN          int     `json:"draft_n,omitempty"` // guessed
	DraftAccepted   int     `json:"draft_n_accepted,omitempty"`
}

// rates fills in what the rest says.
func (t *timings) rates() *timings {
	if t.PromptMS > 0 {
		t.PromptPerSecond = float64(t.PromptN) * 1000 / t.PromptMS
	}
	if t.MS > 0 && t.N > 0 {
		t.PerTokenMS, t.PerSecond = t.MS/float64(t.N), float64(t.N)*1000/t.MS
	}
	return t
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// soFar are the timings of an answer that goes on, prompt included.
func (c *completion) soFar(n int, took time.Duration) *timings {
	return (&timings{PromptN: len(c.ids), N: n, MS: milliseconds(took)}).rates()
}

// end is the last piece.
func (c *completion) end(p part, r *systemgemma.Result) (any, error) {
	kind := "limit"
	switch {
	case r.Stop != "":
		kind = "word"
	case r.FinishReason == systemgemma.FinishStop:
		kind = "eos"
	}
	p.Stop = true
	p.Timings = (&timings{
		PromptN: len(r.PromptIDs) - r.CachedTokens, CacheN: r.CachedTokens, PromptMS: milliseconds(r.Prefill), N: len(r.IDs), MS: milliseconds(r.Decode),
		DraftN: r.DraftedTokens, DraftAccepted: r.AcceptedTokens,
	}).rates()
	maxTokens := c.Want.MaxTokens
	if maxTokens == 0 {
		maxTokens = -1
	}
	s := *c.Want.Sampling
	s.Seed = r.Seed
	x := struct {
		part
		Model     string         `json:"model"`
		Predicted int            `json:"tokens_predicted"`
		Evaluated int            `json:"tokens_evaluated"`
		Cached    int            `json:"tokens_cached"`
		Settings  map[string]any `json:"generation_settings"`
		Prompt    string         `json:"prompt"`
		NewLine   bool           `json:"has_new_line"`
		Truncated bool           `json:"truncated"`
		StopType  string         `json:"stop_type"`
		StopWord  string         `json:"stopping_word"`
		Extension *extension     `json:"systemgemma,omitempty"`
		CutOfForm bool           `json:"cut,omitempty"` // the answer lacks a part of its format
	}{
		part: p, Model: c.Lease.Name, Predicted: len(r.IDs), Evaluated: len(r.PromptIDs), Cached: r.CachedTokens, Settings: settings(s, maxTokens), Prompt: c.text,
		NewLine: strings.Contains(r.Text, "\n"), StopType: kind, StopWord: r.Stop, CutOfForm: r.Cut,
	}
	var score *float64
	if c.Want.Beams != nil {
		score = &r.Score
	}
	if warnings := append(slices.Clip(c.Want.Warnings), r.Warnings...); len(warnings)+len(c.Want.Ignored) > 0 || score != nil {
		x.Extension = &extension{c.Want.Ignored, warnings, score}
	}
	if len(c.only) == 0 {
		return x, nil
	}
	return chosen(x, c.only)
}

// extension is what an answer tells beyond llama.cpp's form.
type extension struct {
	Ignored  []string `json:"ignored,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Score    *float64 `json:"score,omitempty"` // of an answer of a beam search: what orders them
}

// chosen are the fields of an answer that a request names, as NAME or NAME/MEMBER, under their last names.
func chosen(x any, names []string) (any, error) {
	body, err := server.Marshal(x)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	for _, n := range names {
		path := strings.Split(n, "/")
		at := all
		for i, step := range path {
			raw, ok := at[step]
			if !ok {
				break // not there: left out, as llama.cpp does
			}
			if i == len(path)-1 {
				out[step] = raw
				break
			}
			at = nil
			if json.Unmarshal(raw, &at) != nil {
				break
			}
		}
	}
	return out, nil
}
