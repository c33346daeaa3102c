package openai

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
)

// completion is the answer of /v1/completions, whole or a piece of it.
type completion struct {
	ID          string             `json:"id"`
	Object      string             `json:"object"`
	Created     int64              `json:"created"`
	Model       string             `json:"model"`
	Fingerprint string             `json:"system_fingerprint"`
	Choices     []completionChoice `json:"choices"`
	Progress    *pieces.Progress   `json:"prompt_progress,omitempty"`
	Usage       *usage             `json:"usage,omitempty"`
	Extension   *talk.Extension    `json:"systemgemma,omitempty"`
}

type completionChoice struct {
	Text     string  `json:"text"`
	Index    int     `json:"index"`
	Logprobs *arrays `json:"logprobs"`
	Finish   *string `json:"finish_reason"`
}

// Bounds of a request, and what it gets if it says nothing.
const (
	maxPrompts       = 256
	defaultMaxTokens = 16 // OpenAI's, of completions only
)

// prompts are what a completion continues.
type prompt struct {
	ids   []int32
	text  string // as it is echoed
	added bool   // <bos> was put before what the client sent
}

// completing is one request.
type completing struct {
	*prepared
	prompts  []prompt
	echo     bool
	logprobs *int // how many of the best tokens; nil: none
	from     int  // log probabilities of prompts from this token on; those before are null
	drop     bool // no token is wanted (max_tokens 0): the one that is made is dropped
	hideBOS  bool // what was added before prompts is in no array (--lm-eval-compat)
}

// completions answers POST /v1/completions.
func (d *dialect) completions(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	stream, includeUsage, err := streamOptions(f)
	if err != nil {
		return err
	}
	c := &completing{hideBOS: d.server.Config().Compat}
	if err := c.fields(f); err != nil {
		return err
	}
	progress, _, err := f.Bool("return_progress")
	if err != nil {
		return err
	}
	raw, _ := f.Raw("prompt")
	special, _, err := f.Bool("parse_special")
	if err != nil {
		return err
	}
	if c.prepared, err = d.prepare(r, f, "cmpl-"); err != nil {
		return err
	}
	defer c.Lease.Release()
	if c.prompts, err = c.readPrompts(raw, special); err != nil {
		return err
	}
	if err := c.limits(stream); err != nil {
		return err
	}
	if err := c.Want.CheckBeams(stream); err != nil {
		return err
	}
	c.Progress(progress, stream)
	server.Unknown(r, f)
	if stream {
		out := server.NewEvents(w, r)
		defer out.Close()
		return out.Failed(c.stream(r, out, includeUsage), func(e *problem.Error) error { return out.Send(errorChunk(e)) })
	}
	return c.whole(w, r)
}

// fields takes what only completions have.
func (c *completing) fields(f *option.Fields) (err error) {
	if c.echo, _, err = f.Bool("echo"); err != nil {
		return err
	}
	n, found, err := f.Int("logprobs", 0, maxTop)
	if err != nil {
		return err
	}
	if found {
		c.logprobs = &n
	}
	if c.from, _, err = f.Int("logprobs_from", 0, 1<<30); err != nil {
		return err
	}
	suffix, _, err := f.Text("suffix")
	if err == nil && suffix != "" {
		err = problem.Unsupported("suffix", "not supported: Gemma 2 was not trained to fill gaps; want a prompt without it")
	}
	return err
}

// readPrompts reads a text, a list of texts, a list of ids, or a list of lists of ids.
func (c *completing) readPrompts(raw json.RawMessage, special bool) ([]prompt, error) {
	var list []json.RawMessage
	if len(raw) > 0 && raw[0] == '"' {
		list = []json.RawMessage{raw}
	} else if raw == nil || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, problem.Invalid("prompt", "want a text, a list of texts, a list of token ids, or a list of such lists, none of them empty")
	}
	if first := list[0]; first[0] != '"' && first[0] != '[' {
		list = []json.RawMessage{raw} // one list of ids
	}
	if len(list) > maxPrompts {
		return nil, problem.Invalid("prompt", "want at most %d prompts, found %d", maxPrompts, len(list))
	}
	bos, err := c.Lease.Model.Tokenize("<bos>", true)
	if err != nil {
		return nil, problem.OfModel(err)
	}
	if len(bos) != 1 {
		bos = nil // no such token
	}
	var all []prompt
	for i, x := range list {
		p, err := c.readPrompt(x, bos, special)
		if err != nil {
			return nil, problem.Invalid(fmt.Sprintf("prompt[%d]", i), "%v", err)
		}
		all = append(all, p)
	}
	return all, nil
}

// readPrompt encodes one prompt. A text gets one <bos>, also if it spells one at its beginning; other control tokens in it are read as
// such only with parse_special. Ids are taken as they are, but in --lm-eval-compat get the <bos> that its client leaves out.
func (c *completing) readPrompt(raw json.RawMessage, bos []int32, special bool) (p prompt, err error) {
	if raw[0] != '"' {
		if p.ids, err = option.ParseIDs(raw); err != nil {
			return p, err
		}
		if len(p.ids) == 0 {
			return p, fmt.Errorf("want at least one token, found none")
		}
		if c.hideBOS && bos != nil && p.ids[0] != bos[0] {
			p.ids, p.added = append(slices.Clone(bos), p.ids...), true
		}
		known := p.ids
		if p.added {
			known = p.ids[1:]
		}
		if p.text, err = c.Lease.Model.Detokenize(known); err != nil {
			return p, err
		}
		return p, nil
	}
	if err := json.Unmarshal(raw, &p.text); err != nil {
		return p, fmt.Errorf("want a text, found %.40s", raw)
	}
	rest := p.text
	if bos != nil {
		var spelt bool
		rest, spelt = strings.CutPrefix(rest, "<bos>")
		p.added = !spelt
	}
	ids, err := c.Lease.Model.Tokenize(rest, special)
	if err != nil {
		return p, err
	}
	p.ids = append(slices.Clone(bos), ids...)
	return p, nil
}

// sequences are those that a prompt may ask for.
func (c *completing) sequences() int {
	if c.Want.Beams != nil {
		return c.Want.Beams.Beams
	}
	return max(c.Want.N, c.Want.BestOf)
}

// limits checks what goes together, and says how many tokens.
func (c *completing) limits(stream bool) error {
	switch {
	case stream && c.Want.BestOf > c.Want.N:
		return problem.Invalid("best_of", "want no stream beside it: the best is known at the end")
	case stream && c.echo && c.logprobs != nil:
		return problem.Invalid("echo", "want no stream beside echo and logprobs: a prompt's log probabilities are known at the end")
	case len(c.prompts)*c.sequences() > maxPrompts:
		return problem.Invalid("n", "want at most %d answers to all prompts, or beams, found %d prompts and %d to each", maxPrompts, len(c.prompts), c.sequences())
	}
	if !c.Want.MaxTokensGiven {
		c.Want.MaxTokens = defaultMaxTokens
	}
	if c.Want.MaxTokens == 0 {
		if c.drop = true; !c.echo {
			return problem.Invalid("max_tokens", "want 1 or more without echo, found 0")
		}
		c.Want.MaxTokens, c.Want.Format = 1, nil
	}
	if c.logprobs != nil {
		c.Want.TopLogprobs, c.Want.PromptLogprobs = *c.logprobs, c.echo
	}
	return nil
}

// all runs to their ends the answers to each prompt that must be computed.
func (c *completing) all(r *http.Request) ([][]systemgemma.Result, error) {
	results := make([][]systemgemma.Result, len(c.prompts))
	if c.Want.Beams != nil {
		return results, sideBySide(r, len(results), func(r *http.Request, i int) (err error) {
			results[i], err = c.Search(r.Context(), systemgemma.Prompt{IDs: c.prompts[i].ids})
			return err
		})
	}
	runs := c.Runs()
	for i := range results {
		results[i] = make([]systemgemma.Result, runs)
	}
	return results, sideBySide(r, len(results)*runs, func(r *http.Request, k int) error {
		result, err := talk.Collect(c.generate(r, k), nil)
		if err != nil {
			return err
		}
		if c.drop {
			result.IDs, result.Text = nil, ""
		}
		results[k/runs][k%runs] = *result
		return nil
	})
}

// whole answers at the end.
func (c *completing) whole(w http.ResponseWriter, r *http.Request) error {
	results, err := c.all(r)
	if err != nil {
		return err
	}
	x := c.head()
	x.Usage = &usage{}
	var ordered []float64
	for i, mine := range results {
		for c.Want.Beams == nil && len(mine) < c.sequences() {
			mine = append(mine, mine[0]) // all are the same
		}
		for k := range mine {
			x.Usage.add(&mine[k], k == 0)
		}
		if c.Want.BestOf > c.Want.N {
			slices.SortStableFunc(mine, func(a, b systemgemma.Result) int { return cmp.Compare(b.MeanLogprob(), a.MeanLogprob()) })
		}
		for k := range mine[:min(c.Want.N, len(mine))] {
			x.Choices = append(x.Choices, c.choice(&c.prompts[i], &mine[k], len(x.Choices)))
		}
		if c.Want.Beams != nil {
			ordered = append(ordered, scores(mine)...)
		}
	}
	x.Extension = c.Extend(&results[0][0], "") // the best one, where they were sorted
	x.Extension.Scores = ordered
	return server.Reply(w, http.StatusOK, x)
}

// generate begins run k of those of all prompts.
func (c *completing) generate(r *http.Request, k int) hosted.Events {
	o := c.Options(k % c.Runs())
	return c.Lease.Generate(r.Context(), systemgemma.Prompt{IDs: c.prompts[k/c.Runs()].ids}, &o)
}

func (c *completing) head() completion {
	return completion{ID: c.id, Object: "text_completion", Created: c.created, Model: c.Lease.Name, Fingerprint: c.print, Choices: []completionChoice{}}
}

// choice is one answer with its log probabilities.
func (c *completing) choice(p *prompt, r *systemgemma.Result, index int) completionChoice {
	reason := finish(r)
	if c.drop {
		reason = "length"
	}
	x := completionChoice{Text: r.Text, Index: index, Finish: &reason}
	if c.echo {
		x.Text = p.text + r.Text
	}
	if c.logprobs == nil {
		return x
	}
	x.Logprobs = newArrays()
	if c.echo {
		c.promptLogprobs(x.Logprobs, p, r)
	}
	for i, id := range r.IDs {
		if c.End[id] && !c.echo {
			continue // with echo its place must be there: harnesses drop the last one
		}
		var top []systemgemma.TokenLogprob
		if i < len(r.Top) {
			top = r.Top[i]
		}
		x.Logprobs.add(c.Lease.Model, id, r.Logprobs[i], true, top, c.End[id])
	}
	return x
}

// promptLogprobs are the entries of a prompt's tokens: null for the first, and for those that nobody asked for.
func (c *completing) promptLogprobs(a *arrays, p *prompt, r *systemgemma.Result) {
	for i, id := range p.ids {
		hidden := i == 0 && p.added
		if hidden && c.hideBOS {
			continue
		}
		known := i > 0 && i >= c.from
		var top []systemgemma.TokenLogprob
		if known && i-1 < len(r.PromptTop) {
			top = r.PromptTop[i-1]
		}
		logprob := 0.0
		if known {
			logprob = r.PromptLogprobs[i-1]
		}
		a.add(c.Lease.Model, id, logprob, known, top, hidden)
	}
}

// sendChoice sends a piece of a choice; text is the template of those of its pieces that are only text, which differ in nothing else.
func (c *completing) sendChoice(out *server.Stream, text **server.Template, choice completionChoice, x *talk.Extension) (err error) {
	if choice.Logprobs != nil || choice.Finish != nil || x != nil {
		a := c.head()
		a.Choices, a.Extension = []completionChoice{choice}, x
		return out.Send(a)
	}
	if *text == nil {
		if *text, err = server.NewTemplate(1, func(texts []string) any {
			a := c.head()
			a.Choices = []completionChoice{{Text: texts[0], Index: choice.Index}}
			return a
		}); err != nil {
			return err
		}
	}
	return out.SendText(*text, choice.Text)
}

// stream answers piece by piece.
func (c *completing) stream(r *http.Request, out *server.Stream, includeUsage bool) error {
	var mu sync.Mutex
	total := &usage{}
	texts := make([]*server.Template, len(c.prompts)*max(c.Want.N, 1)) // of pieces that are only text, by choice
	err := sideBySide(r, len(c.prompts)*c.Runs(), func(r *http.Request, k int) error {
		first, places := k, 1 // the choices that are answered
		if c.Runs() < c.Want.N {
			first, places = k*c.Want.N, c.Want.N // all of a prompt
		}
		p := &c.prompts[first/c.Want.N]
		pending, echo := newArrays(), c.echo
		for e, err := range c.generate(r, k) {
			if err != nil {
				return err
			}
			if e.Progress != nil {
				a := c.head()
				a.Progress = pieces.ProgressOf(e.Progress, first)
				if err := out.Send(a); err != nil {
					return err
				}
				continue
			}
			if e.Result != nil && c.drop {
				e.Result.IDs = nil
			}
			if c.drop {
				e.Text = ""
			}
			if echo {
				e.Text, echo = p.text+e.Text, false
			}
			if c.logprobs != nil && e.ID >= 0 && !c.End[e.ID] {
				pending.add(c.Lease.Model, e.ID, e.Logprob, true, e.Top, false)
			}
			choice := completionChoice{Text: e.Text}
			if c.logprobs != nil && len(pending.Tokens) > 0 && (e.Text != "" || e.Result != nil) {
				choice.Logprobs = pending
				pending = newArrays()
				pending.end = choice.Logprobs.end
			}
			var x *talk.Extension
			if e.Result != nil {
				reason := finish(e.Result)
				choice.Finish, x = &reason, c.Extend(e.Result, "")
			} else if choice.Text == "" {
				continue
			}
			for choice.Index = first; choice.Index < first+places; choice.Index++ {
				if e.Result != nil {
					mu.Lock()
					total.add(e.Result, choice.Index%c.Want.N == 0)
					mu.Unlock()
				}
				if err := c.sendChoice(out, &texts[choice.Index], choice, x); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if includeUsage {
		a := c.head()
		a.Usage = total
		if err := out.Send(a); err != nil {
			return err
		}
	}
	return out.Done()
}
