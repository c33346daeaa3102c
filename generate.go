package systemgemma

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma/internal/decode/constrained"
	"github.com/systemgemma/systemgemma/internal/decode/healing"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/decode/stop"
	"github.com/systemgemma/systemgemma/internal/engine"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// GenerateOptions are the options of one answer. The zero value, and nil, mean the model's own defaults.
type GenerateOptions struct {
	// Sampling replaces the model's DefaultSampling as a whole when it is not nil.
	Sampling *Sampling
	// MaxTokens ends the answer with FinishLength. 0: what the model's files say, else as many as the context holds.
	MaxTokens int
	// MinTokens keeps end tokens away until the answer has that many tokens. 0: what the model's files say, else none.
	MinTokens int
	// TopLogprobs is how many of the model's best tokens Event.Top and Result.Top tell with each token, at most 1000.
	TopLogprobs int
	// PromptLogprobs fills in Result.PromptLogprobs and, with TopLogprobs, PromptTop. The whole prompt is then computed, also
	// where its beginning is known from an earlier request.
	PromptLogprobs bool
	// Explain is how many of the best candidates Event.Steps tells after each step of the sampling, at most 1000. 0: no steps.
	Explain int
	// Stop are texts that end the answer. They and what follows are not part of it. nil: what the model's files say, else none.
	Stop []string
	// StopIDs are tokens that end the answer besides the model's own. They are in IDs, not in Text.
	StopIDs []int32
	// MaxTime ends the answer with FinishLength, and a warning, when that long has passed since the call, waiting included. 0: what the
	// model's files say, else no limit.
	MaxTime time.Duration
	// Stopping are rules of your own that end the answer with FinishStop.
	Stopping []StoppingCriterion
	// IgnoreEOS goes on after end tokens, until MaxTokens or the end of the context.
	IgnoreEOS bool
	// Priority lets a request begin before waiting ones of lower priority.
	Priority int
	// Lookup guesses that the answer repeats what followed the same words before, in the prompt, in the answer or in
	// Prediction, and checks guesses several at a time: the same answer, sooner where it repeats much (edits, summaries, code).
	Lookup bool
	// Prediction is a text that the answer is expected to resemble. It implies Lookup.
	Prediction string
	// Adapters are LoRA adapters of this model (OpenAdapter), at most MaxAdapters, each adding its difference to the model's
	// own weights. Answers with different adapters run side by side.
	Adapters []AdapterUse
	// Guidance makes the answer follow its prompt more than another one. nil: off.
	Guidance *Guidance
	// Heal takes the prompt's last tokens back where another token could spell their text and more, and lets the answer begin with
	// that text, which Result.Healed tells and Text is without: for prompts that end amid a word or a link. MaxTokens counts the tokens that
	// spell it again. Chat wants a last message of the assistant's then. It wants no Format beside it.
	Heal bool
	// Progress asks for events that tell how far the prompt is computed, before those of tokens: for prompts that take long. Only answers
	// with events, those of Generate and Chat, have them.
	Progress bool
	// Format holds the answer to a form: JSON of a schema, a regular expression, ... nil: free.
	Format *Format
}

// StoppingCriterion is a rule of your own about when an answer ends. It is asked after each token, with the tokens of prompt and answer and
// the answer's text so far, which may not yet have the newest characters. It is called by the engine and must not block nor keep slices.
type StoppingCriterion interface {
	Met(prompt, answer []int32, text []byte) bool
}

// Prompt is what an answer continues: text, or ids.
type Prompt struct {
	// IDs are taken as they are when there are any.
	IDs []int32
	// Text is encoded after one <bos>.
	Text string
	// Special reads control tokens written in Text as such. A <bos> at its beginning is then dropped with a warning.
	Special bool
}

// FinishReason says why an answer ended.
type FinishReason string

const (
	// FinishStop: an end token or a stop text came.
	FinishStop FinishReason = "stop"
	// FinishLength: MaxTokens or the end of the context was reached.
	FinishLength FinishReason = "length"
	// FinishCancel: the context was cancelled; the answer is what there was.
	FinishCancel FinishReason = "cancel"
)

// Event is one step of an answer: a token and the text that may now be shown. The last event of an answer has a Result.
type Event struct {
	Text    string  // never part of a character; may be empty
	ID      int32   // -1 in an event without a token
	Logprob float64 // natural logarithm of the token's probability under the model
	Result  *Result // not nil in the last event only

	Top   []TokenLogprob // with TopLogprobs: the model's best tokens, from the best down
	Steps []SamplingStep // with Explain: the candidates before the first step, named logits, and after each; the last one drew

	Progress *PromptProgress // with Progress: how far the prompt is; such an event has no token and no text
}

// PromptProgress is how far a prompt is computed; with Guidance the prompt and the other one.
type PromptProgress struct {
	Total  int           // tokens
	Done   int           // of these, computed or known from earlier requests
	Cached int           // of these, known
	Took   time.Duration // since the request was admitted
}

// TokenLogprob is a token and its natural log probability under the model.
type TokenLogprob = sampler.Logprob

// SamplingStep is what one step of the sampling left.
type SamplingStep = sampler.StepDetail

// SamplingCandidate is a token that a step left.
type SamplingCandidate = sampler.Candidate

// Result is a whole answer.
type Result struct {
	Text      string
	IDs       []int32 // generated tokens, an end token included
	Logprobs  []float64
	Top       [][]TokenLogprob // with TopLogprobs: of each token
	Steps     [][]SamplingStep // with Explain: of each token
	PromptIDs []int32
	// With PromptLogprobs: the log probability of each token of the prompt after the first, given those before it.
	PromptLogprobs []float64
	PromptTop      [][]TokenLogprob
	FinishReason   FinishReason
	Stop           string // the stop text that ended the answer, if one did
	Healed         string // with Heal: the end of the prompt's text that was taken back, and that Text goes on after
	// Score, of a beam search, is the sum of the log probabilities, as rules changed them, by the length to the power of the length penalty.
	Score    float64
	Seed     uint64 // that sampling used; 0 when greedy
	Warnings []string
	// DroppedMessages is how many messages Context left out.
	DroppedMessages int
	CachedTokens    int // of the prompt, known from an earlier request
	// With Lookup: the tokens that were guessed, and how many of them rightly.
	DraftedTokens, AcceptedTokens int
	// CertainTokens is how many Format left no choice for, so that they were computed several at a time.
	CertainTokens int
	// Cut says that the answer ended before it had its whole Format.
	Cut     bool
	TTFT    time.Duration // from the call to the first token
	Queue   time.Duration // until the request was admitted
	Prefill time.Duration // computing the prompt
	Decode  time.Duration // all tokens after the first
}

// Generate continues a prompt without a chat template. The iteration ends with an event that has a Result, or with an error;
// when ctx is cancelled, with both.
func (m *Model) Generate(ctx context.Context, p Prompt, o *GenerateOptions) iter.Seq2[Event, error] {
	ids, warnings, err := m.promptIDs(p)
	if err != nil {
		return fail(err)
	}
	q := &prompted{ids: ids, warnings: warnings}
	if o != nil {
		if err = m.other(q, o.Guidance, nil, nil); err == nil && o.Heal {
			err = m.heal(q)
		}
		if err != nil {
			return fail(err)
		}
	}
	return m.answer(ctx, q, o)
}

// prompted is what an answer continues.
type prompted struct {
	ids      []int32
	warnings []string
	dropped  int     // messages left out
	other    []int32 // what Guidance steers away from
	healed   string  // taken back; the answer begins with it
}

// fail is an iteration of one error.
func fail(err error) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { yield(Event{ID: -1}, err) }
}

// promptIDs encodes a prompt.
func (t *Text) promptIDs(p Prompt) (ids []int32, warnings []string, err error) {
	if len(p.IDs) > 0 {
		return p.IDs, nil, nil
	}
	if t.tok == nil {
		return nil, nil, ErrNoTokenizer
	}
	bos := t.tok.Roles().BOS
	if bos >= 0 {
		ids = append(ids, bos)
	}
	if !p.Special {
		return t.tok.AppendText(ids, p.Text), nil, nil
	}
	ids = t.tok.AppendSpecial(ids, p.Text)
	if bos >= 0 && len(ids) > 1 && ids[1] == bos {
		return ids[1:], []string{"the prompt begins with " + t.tok.Piece(bos) + ", which is added anyway: one of the two was dropped"}, nil
	}
	return ids, nil, nil
}

// answer runs a request and turns its tokens into events.
func (m *Model) answer(ctx context.Context, p *prompted, o *GenerateOptions) iter.Seq2[Event, error] {
	if o == nil {
		o = &GenerateOptions{}
	}
	o = m.withDefaults(o)
	return func(yield func(Event, error) bool) {
		s := m.defaults
		if o.Sampling != nil {
			s = *o.Sampling
		}
		a, err := m.newAnswer(ctx, p, o, s)
		if err != nil {
			yield(Event{ID: -1}, err)
			return
		}
		req := &engine.Request{
			Prompt: p.ids, Other: p.other, Sampler: a.chooser, Stop: m.ends(o), MaxTokens: o.MaxTokens, Priority: o.Priority, Adapters: a.adapters, Token: a.token,
		}
		if o.Progress {
			req.Progress = a.progress
		}
		if o.PromptLogprobs {
			req.Read = a.promptLogprobs(o.TopLogprobs)
		}
		if d := m.drafter(o); d != nil && p.other == nil {
			req.Drafter = d
		}
		run, cancel := o.limited(ctx)
		defer cancel() // also of an answer whose reader wants no more
		running, err := m.engine.Submit(run, req)
		if err != nil {
			yield(Event{ID: -1}, err)
			return
		}
		for e := range a.events.until(running.Done()) {
			if !yield(e, nil) {
				return
			}
		}
		reason, stats, err := running.Wait()
		if errors.Is(err, errMaxTime) {
			err, reason = nil, engine.ReasonLength
			a.late = true
		}
		text := a.end(reason, stats, err != nil && ctx.Err() != nil)
		if err != nil && a.result.FinishReason != FinishCancel {
			yield(Event{ID: -1}, err)
			return
		}
		yield(Event{Text: text, ID: -1, Result: &a.result}, err)
	}
}

func (m *Model) predictionIDs(text string) []int32 {
	if m.tok == nil || text == "" {
		return nil
	}
	return m.tok.AppendText(nil, text)
}

// withDefaults is o with what the model's files say where it leaves things open.
func (m *Model) withDefaults(o *GenerateOptions) *GenerateOptions {
	own, files := *o, m.files
	own.MaxTokens, own.MaxTime = cmp.Or(o.MaxTokens, files.MaxTokens), cmp.Or(o.MaxTime, time.Duration(min(files.MaxTime, 1e9)*float64(time.Second)))
	if o.Stop == nil {
		own.Stop = files.Stop
	}
	if o.MinTokens == 0 && o.Format == nil {
		own.MinTokens = files.MinTokens
	}
	return &own
}

// met reports whether a criterion of the caller's is.
func (o *GenerateOptions) met(prompt, answer []int32, text []byte) bool {
	return slices.ContainsFunc(o.Stopping, func(c StoppingCriterion) bool { return c.Met(prompt, answer, text) })
}

// answer is the state of one running answer. Until the request has ended it belongs to the engine, but for events.
type answer struct {
	result   Result
	start    time.Time
	options  *GenerateOptions
	sampler  *sampler.Sampler
	chooser  engine.Sampler       // the sampler, or what holds it to a format or a text
	skip     int                  // bytes of the text that the prompt had already
	late     bool                 // MaxTime was over
	detailed bool                 // the sampler tells more than tokens
	format   *constrained.Sampler // nil: none
	adapters *gemma2.AdapterSet
	decode   func(id int32) string
	flush    func() string
	match    *stop.Matcher
	text     []byte
	stopped  bool // by a stop text
	events   mailbox
}

// newAnswer makes what one answer needs. s is its sampling.
func (m *Model) newAnswer(ctx context.Context, p *prompted, o *GenerateOptions, s Sampling) (*answer, error) {
	if err := m.check(o, p); err != nil {
		return nil, err
	}
	if s.Temperature != 0 {
		s = s.withSeed()
	} else {
		s.Seed = 0
	}
	a := &answer{start: time.Now(), options: o, skip: len(p.healed), events: newMailbox(), decode: func(int32) string { return "" }, flush: func() string { return "" }}
	a.result = Result{PromptIDs: p.ids, Warnings: m.warnings(p), DroppedMessages: p.dropped, Healed: p.healed, Seed: s.Seed}
	var err error
	if a.sampler, err = m.newSampler(s, o, len(p.ids)); err != nil {
		return nil, err
	}
	a.detailed = o.TopLogprobs > 0 || o.Explain > 0
	if a.match, err = stop.New(o.Stop); err != nil {
		return nil, err
	}
	if a.adapters, err = m.adapterSet(o.Adapters); err != nil {
		return nil, err
	}
	if m.tok != nil {
		d := m.tok.NewDecoder()
		a.decode, a.flush = d.Add, d.Flush
	} else if len(o.Stop) > 0 {
		return nil, fmt.Errorf("stop: %w: stop texts need one", ErrNoTokenizer)
	}
	a.chooser = a.sampler
	switch {
	case o.Format != nil:
		if a.format, err = m.constrain(ctx, a.sampler, len(p.ids), o); err != nil {
			return nil, err
		}
		a.chooser = a.format
	case p.healed != "":
		a.chooser = healing.New(a.sampler, m.pieces(), len(p.ids), p.healed)
	}
	return a, nil
}

// warnings are those that a prompt and the model's files bring to each answer.
func (m *Model) warnings(p *prompted) []string {
	if m.files.Left == nil {
		return p.warnings
	}
	return append(slices.Clip(p.warnings), "the model's files ask for another way to generate, which is not used unless asked for by name: "+strings.Join(m.files.Left, ", "))
}

// check refuses options that no answer can have.
func (m *Model) check(o *GenerateOptions, p *prompted) error {
	switch {
	case o.MaxTokens < 0:
		return fmt.Errorf("max tokens: want 0 (no limit) or more, found %d", o.MaxTokens)
	case o.MaxTime < 0:
		return fmt.Errorf("max time: want 0 (no limit) or more, found %v", o.MaxTime)
	case o.Heal && o.Guidance != nil:
		return errors.New("heal: want no guidance beside it")
	case o.Heal && o.Format != nil:
		return errors.New("heal: want no format beside it, to which the whole answer is held")
	case o.Guidance != nil && (o.Lookup || o.Prediction != ""):
		return errors.New("lookup, prediction: want no guidance beside them: the tokens of two texts side by side are not guessed")
	case slices.Contains(o.Stopping, nil):
		return errors.New("stopping: want criteria, found nil")
	case o.Guidance != nil && p.other == nil:
		return errors.New("guidance: want a prompt of at least one token, found none")
	}
	vocab := m.weights.Config.VocabSize
	for _, id := range o.StopIDs {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("stop ids: want ids below %d, found %d", vocab, id)
		}
	}
	return nil
}

// token handles one token and says whether the answer goes on.
func (a *answer) token(t engine.Token) bool {
	if len(a.result.IDs) == 0 {
		a.result.TTFT = time.Since(a.start)
	}
	a.result.IDs = append(a.result.IDs, t.ID)
	a.result.Logprobs = append(a.result.Logprobs, t.Logprob)
	e := Event{ID: t.ID, Logprob: t.Logprob}
	if a.detailed {
		d := a.sampler.Taken()
		e.Top, e.Steps = d.Top, d.Steps
		if d.Top != nil {
			a.result.Top = append(a.result.Top, d.Top)
		}
		if d.Steps != nil {
			a.result.Steps = append(a.result.Steps, d.Steps)
		}
	}
	if !t.Stop {
		e.Text, a.stopped = a.match.Add(a.fresh(a.decode(t.ID)))
		a.text = append(a.text, e.Text...)
	}
	a.events.put(e)
	return !a.stopped && !a.options.met(a.result.PromptIDs, a.result.IDs, a.text)
}

// progress tells how far the prompt is.
func (a *answer) progress(p engine.Progress) {
	a.events.put(Event{ID: -1, Progress: &PromptProgress{Total: p.Total, Done: p.Done, Cached: p.Cached, Took: p.Took}})
}

// fresh is text without what the prompt had already.
func (a *answer) fresh(text string) string {
	n := min(a.skip, len(text))
	a.skip -= n
	return text[n:]
}

// promptLogprobs reads the logits after each token of the prompt.
func (a *answer) promptLogprobs(top int) func(row int, logits []float32) error {
	return func(row int, logits []float32) error {
		r := &a.result
		if row+1 >= len(r.PromptIDs) {
			return nil
		}
		r.PromptLogprobs = append(r.PromptLogprobs, float64(logits[r.PromptIDs[row+1]])-sampler.LogSumExp(logits))
		if top > 0 {
			r.PromptTop = append(r.PromptTop, sampler.TopLogprobs(logits, top))
		}
		return nil
	}
}

// end fills in the result and returns the text that was still held back.
func (a *answer) end(reason engine.Reason, st engine.Stats, cancelled bool) (rest string) {
	if !a.stopped {
		rest, a.stopped = a.match.Add(a.fresh(a.flush()))
		if !a.stopped {
			rest += a.match.Flush()
		}
		a.text = append(a.text, rest...)
	}
	r := &a.result
	r.Text, r.FinishReason, r.CachedTokens = string(a.text), FinishReason(reason), st.CachedTokens
	r.Queue, r.Prefill, r.Decode = st.Queue, st.Prefill, st.Decode
	r.Warnings = append(slices.Clip(r.Warnings), st.Warnings...)
	if a.late {
		r.Warnings = append(r.Warnings, maxTimeWarning(a.options))
	}
	r.DraftedTokens, r.AcceptedTokens, r.CertainTokens = st.DraftedTokens, st.AcceptedTokens, st.CertainTokens
	r.Cut = a.format != nil && (a.stopped || a.late || reason == "" || !a.format.Complete()) // without a reason it is still in use
	if a.stopped {
		r.FinishReason, r.Stop = FinishStop, a.match.Found()
	}
	if cancelled {
		r.FinishReason = FinishCancel
	}
	return rest
}
