package systemgemma

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma/internal/decode/beam"
	"github.com/systemgemma/systemgemma/internal/decode/stop"
	"github.com/systemgemma/systemgemma/internal/engine"
)

// MaxBeams bounds Beams.Beams.
const MaxBeams = beam.MaxBeams

// Beams say how whole answers are searched: beam search as Hugging Face transformers does it, with its names and meanings.
type Beams struct {
	Beams  int // beginnings that are followed at a time, 1 to MaxBeams (num_beams)
	Return int // answers, at most as many as Beams (num_return_sequences). 0: one
	// LengthPenalty: an answer's Score is the sum of its log probabilities by its length to this power. nil: 1.
	LengthPenalty *float64
	// EarlyStopping says when to end with as many whole answers as Beams: "true" at once, "never" when none can become better, "" or
	// "false" when none is likely to.
	EarlyStopping string
}

// GenerateBeams gives the answers to a prompt that a beam search finds, the best one first. It follows no chance: of the options,
// Sampling brings rules and penalties (its temperature must be 0; the model's own is not used); those that need one token after the
// other, as Format, are refused. When ctx is cancelled, or MaxTime is over, the answers are what there was.
func (m *Model) GenerateBeams(ctx context.Context, p Prompt, o *GenerateOptions, b Beams) ([]Result, error) {
	if o == nil {
		o = &GenerateOptions{}
	}
	ids, warnings, err := m.promptIDs(p)
	if err != nil {
		return nil, err
	}
	return m.beams(ctx, &prompted{ids: ids, warnings: warnings}, o, b)
}

// ChatBeams is GenerateBeams for Chat.
func (m *Model) ChatBeams(ctx context.Context, messages []Message, o *ChatOptions, b Beams) ([]Result, error) {
	if o == nil {
		o = &ChatOptions{}
	}
	p, err := m.chatPrompt(messages, o)
	if err != nil {
		return nil, err
	}
	return m.beams(ctx, p, &o.GenerateOptions, b)
}

// checkBeams refuses what a search can't honour.
func (o *GenerateOptions) checkBeams() error {
	for _, x := range []struct {
		name string
		used bool
	}{
		{"Format", o.Format != nil}, {"Guidance", o.Guidance != nil}, {"Heal", o.Heal}, {"Explain", o.Explain > 0}, {"TopLogprobs", o.TopLogprobs > 0},
		{"PromptLogprobs", o.PromptLogprobs}, {"Lookup", o.Lookup}, {"Progress", o.Progress}, {"Prediction", o.Prediction != ""},
		{"temperature above 0", o.Sampling != nil && o.Sampling.Temperature != 0},
	} {
		if x.used {
			return fmt.Errorf("beams: want no %s beside them", x.name)
		}
	}
	return nil
}

// beams runs a search.
func (m *Model) beams(ctx context.Context, p *prompted, o *GenerateOptions, b Beams) ([]Result, error) {
	if err := o.checkBeams(); err != nil {
		return nil, err
	}
	if b.Return == 0 {
		b.Return = 1
	}
	if b.Return < 1 || b.Return > b.Beams {
		return nil, fmt.Errorf("answers: want 1 to %d, as many as beams, found %d", b.Beams, b.Return)
	}
	o = m.withDefaults(o)
	rules := m.defaults
	if o.Sampling != nil {
		rules = *o.Sampling
	}
	a, err := m.newAnswer(ctx, p, o, rules.rulesOnly())
	if err != nil {
		return nil, err
	}
	room := m.ContextLength() - len(p.ids)
	if room < 1 {
		return nil, fmt.Errorf("%w: prompt is %d tokens, context length is %d; an answer needs room", ErrContextLength, len(p.ids), m.ContextLength())
	}
	ends := func(ids []int32) bool { return m.endsText(o, p, ids) }
	if len(o.Stop) == 0 && len(o.Stopping) == 0 {
		ends = nil
	}
	penalty := 1.0
	if b.LengthPenalty != nil {
		penalty = *b.LengthPenalty
	}
	early := b.EarlyStopping
	if early == "false" {
		early = ""
	}
	search, err := beam.New(beam.Options{
		Beams: b.Beams, LengthPenalty: penalty, Stopping: beam.Stopping(early), MaxTokens: min(room, cmp.Or(o.MaxTokens, math.MaxInt)), EOS: m.ends(o), Ends: ends,
	}, p.ids, a.sampler)
	if err != nil {
		return nil, err
	}
	run, cancel := o.limited(ctx)
	defer cancel()
	running, err := m.engine.Submit(run, &engine.Request{Prompt: p.ids, Search: search, Priority: o.Priority, Adapters: a.adapters})
	if err != nil {
		return nil, err
	}
	_, stats, err := running.Wait()
	switch {
	case errors.Is(err, errMaxTime):
		err = nil
		p.warnings = append(slices.Clip(p.warnings), maxTimeWarning(o))
	case err != nil && ctx.Err() == nil:
		return nil, err
	}
	var results []Result
	for _, x := range search.Answers(b.Return) {
		r := m.beamResult(o, p, x, &stats)
		r.TTFT = stats.Queue + stats.Prefill
		if ctx.Err() != nil && !x.Whole {
			r.FinishReason = FinishCancel
		}
		results = append(results, r)
	}
	return results, err
}

// rulesOnly is s without what only a choice by chance needs.
func (s Sampling) rulesOnly() Sampling {
	s.Temperature, s.DynatempRange, s.DynatempExponent, s.Mirostat, s.MirostatTau, s.MirostatEta = 0, 0, 0, 0, 0, 0
	s.Watermark, s.Order = nil, nil
	return s
}

// beamText is the text of an answer and how it ends: at a stop text, or at an end token.
func (m *Model) beamText(o *GenerateOptions, ids []int32) (text, stopped string, eos bool) {
	if n := len(ids); n > 0 && m.ends(o)[ids[n-1]] {
		ids, eos = ids[:n-1], true
	}
	if m.tok == nil {
		return "", "", eos
	}
	match, err := stop.New(o.Stop)
	if err != nil {
		return "", "", eos // newAnswer has refused it
	}
	d := m.tok.NewDecoder()
	var b []byte
	for _, id := range ids {
		emit, over := match.Add(d.Add(id))
		if b = append(b, emit...); over {
			return string(b), match.Found(), false
		}
	}
	emit, over := match.Add(d.Flush())
	if b = append(b, emit...); !over {
		b = append(b, match.Flush()...)
	}
	return string(b), match.Found(), eos && !over
}

// endsText reports whether an answer ends by its text or a criterion.
func (m *Model) endsText(o *GenerateOptions, p *prompted, ids []int32) bool {
	text, stopped, _ := m.beamText(o, ids)
	return stopped != "" || o.met(p.ids, ids, []byte(text))
}

func (m *Model) beamResult(o *GenerateOptions, p *prompted, x beam.Answer, st *engine.Stats) Result {
	text, stopped, eos := m.beamText(o, x.IDs)
	r := Result{
		Text: text, IDs: x.IDs, Logprobs: x.Logprobs, Score: x.Score, PromptIDs: p.ids, Stop: stopped, Warnings: m.warnings(p), DroppedMessages: p.dropped,
		CachedTokens: st.CachedTokens, Queue: st.Queue, Prefill: st.Prefill, Decode: st.Decode, FinishReason: FinishLength,
	}
	if stopped != "" || eos || x.Whole && o.met(p.ids, x.IDs, []byte(text)) {
		r.FinishReason = FinishStop
	}
	return r
}

// ends are the tokens that end an answer.
func (m *Model) ends(o *GenerateOptions) map[int32]bool {
	ends := map[int32]bool{}
	if !o.IgnoreEOS {
		maps.Copy(ends, m.stopIDs)
	}
	for _, id := range o.StopIDs {
		ends[id] = true
	}
	return ends
}

// errMaxTime ends what takes longer than MaxTime.
var errMaxTime = errors.New("max time is over")

// limited is ctx until MaxTime is over.
func (o *GenerateOptions) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if o.MaxTime > 0 {
		return context.WithTimeoutCause(ctx, o.MaxTime, errMaxTime)
	}
	return context.WithCancel(ctx)
}

func maxTimeWarning(o *GenerateOptions) string {
	return fmt.Sprintf("the answer was ended after %v, the most time that it was given", o.MaxTime.Round(time.Millisecond))
}
