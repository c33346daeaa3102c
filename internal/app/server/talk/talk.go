// Package talk makes a request ready to be answered, whatever the dialect: a model in use, what the request wants of it, the tokens that
// end an answer; and a conversation with it: tools, messages, what is continued.
//
// It must not know HTTP, nor the forms of requests and answers. Errors are those of package problem.
package talk

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
)

// Request is one whose model is open. Lease is the caller's to release.
type Request struct {
	Lease *hosted.Lease
	Want  *option.Answer
	End   map[int32]bool // tokens that end an answer, and are no text
}

// New is a request that says nothing yet: what the model carries counts.
func New(l *hosted.Lease) *Request {
	return &Request{Lease: l, Want: option.From(l.Defaults()), End: map[int32]bool{}}
}

// Open acquires the model that a request names, and takes all options.
func Open(ctx context.Context, models *hosted.Set, f *option.Fields, d option.Dialect, maxN int) (*Request, error) {
	name, _, err := f.Text("model")
	if err != nil {
		return nil, err
	}
	l, err := models.Acquire(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	q := New(l)
	if err := q.Read(d, maxN, f); err != nil {
		l.Release()
		return nil, err
	}
	return q, nil
}

// Read takes all options, from the members of a request and of the objects that it has for them. maxN is how many answers, or beams, it may want.
func (q *Request) Read(d option.Dialect, maxN int, from ...*option.Fields) error {
	for _, f := range from {
		if f == nil {
			continue
		}
		if err := q.Want.Read(f, d, option.Limits{N: maxN, Beams: maxN, Context: q.Lease.Model.ContextLength()}); err != nil {
			return err
		}
	}
	if err := q.Want.Check(); err != nil {
		return err
	}
	for _, id := range q.Lease.Info.EOS {
		q.End[id] = !q.Want.IgnoreEOS
	}
	for _, id := range q.Want.StopIDs {
		q.End[id] = true
	}
	if q.Runs() > 1 && q.Want.Sampling.Seed == 0 {
		q.Want.Sampling.Seed = drawSeed()
	}
	var err error
	q.Want.Adapters, err = q.Lease.Use(q.Want.LoRA)
	return err
}

// drawSeed draws a seed for several answers, which count on from it.
func drawSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])                                    // never fails
	return binary.LittleEndian.Uint64(b[:])&(1<<48-1) | 1<<48 // not 0, which is none
}

// Options are those of answer i. Progress is told by the first one: all have one prompt.
func (q *Request) Options(i int) systemgemma.GenerateOptions {
	o, s := q.Want.GenerateOptions, *q.Want.Sampling
	o.Progress = o.Progress && i == 0
	if o.Sampling = &s; s.Seed != 0 {
		s.Seed += uint64(i)
	}
	return o
}

// Runs is how many of the answers to a prompt must be computed: one, if all are the same.
func (q *Request) Runs() int {
	if q.Want.Sampling.Temperature == 0 {
		return 1
	}
	return max(q.Want.N, q.Want.BestOf)
}

// Progress asks for the progress of prompts if wanted: only a stream can tell it.
func (q *Request) Progress(wanted, stream bool) {
	if q.Want.Progress = wanted && stream; wanted && !stream {
		q.Want.Ignored = append(q.Want.Ignored, "return_progress")
	}
}

// Search continues a prompt by the beam search that is wanted: at least one answer, the best one first.
func (q *Request) Search(ctx context.Context, p systemgemma.Prompt) ([]systemgemma.Result, error) {
	o := q.Options(0)
	return q.Lease.GenerateBeams(ctx, p, &o, *q.Want.Beams)
}

// Mode is the system mode of an answer.
func (q *Request) Mode() string {
	if m := q.Want.SystemMode; m != "" && m != "auto" {
		return m
	}
	return q.Lease.Info.SystemMode
}

// Extension is what an answer tells beyond the form of a dialect, in its member systemgemma.
type Extension struct {
	SystemMode      string      `json:"system_mode,omitempty"`
	Seed            uint64      `json:"seed,omitempty"` // that sampling used
	Ignored         []string    `json:"ignored,omitempty"`
	Warnings        []string    `json:"warnings,omitempty"`
	DroppedMessages int         `json:"dropped_messages,omitempty"`
	Cut             bool        `json:"cut,omitempty"`       // the answer lacks a part of its format
	StopText        string      `json:"stop_text,omitempty"` // that ended the answer
	Scores          []float64   `json:"scores,omitempty"`    // of the answers of a beam search, which order them
	Explain         []Explained `json:"explain,omitempty"`   // of each token, where that is wanted
	Timings         *Timings    `json:"timings,omitempty"`
}

// Timings are in milliseconds, as llama.cpp names them.
type Timings struct {
	PromptN    int     `json:"prompt_n"`
	CacheN     int     `json:"cache_n"`
	PromptMS   float64 `json:"prompt_ms"`
	PredictedN int     `json:"predicted_n"`
	PredictMS  float64 `json:"predicted_ms"`
	QueueMS    float64 `json:"queue_ms"`
	TTFTMS     float64 `json:"ttft_ms"`

	// Where tokens were guessed: how many, and how many of them rightly.
	DraftN        int `json:"draft_n,omitempty"`
	DraftAccepted int `json:"draft_n_accepted,omitempty"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Extend tells of an answer; mode is "" where there are no messages.
func (q *Request) Extend(r *systemgemma.Result, mode string) *Extension {
	return &Extension{
		SystemMode: mode, Ignored: q.Want.Ignored, Warnings: append(slices.Clip(q.Want.Warnings), r.Warnings...),
		Seed: r.Seed, DroppedMessages: r.DroppedMessages, Cut: r.Cut, StopText: r.Stop, Explain: q.explained(r),
		Timings: &Timings{
			PromptN: len(r.PromptIDs) - r.CachedTokens, CacheN: r.CachedTokens, PromptMS: milliseconds(r.Prefill), PredictedN: len(r.IDs),
			PredictMS: milliseconds(r.Decode), QueueMS: milliseconds(r.Queue), TTFTMS: milliseconds(r.TTFT),
			DraftN: r.DraftedTokens, DraftAccepted: r.AcceptedTokens,
		},
	}
}

// Explained is how a token came about: the candidates before the first step of the sampling, and after each.
type Explained struct {
	ID    int32                      `json:"id"`
	Token string                     `json:"token"`
	Steps []systemgemma.SamplingStep `json:"steps"`
}

// explained tells of each token of an answer how it came about, where that was wanted.
func (q *Request) explained(r *systemgemma.Result) (list []Explained) {
	for i, steps := range r.Steps[:min(len(r.Steps), len(r.IDs))] {
		list = append(list, Explained{r.IDs[i], pieces.Text(q.Lease.Model, r.IDs[i]), steps})
	}
	return list
}

// Collect runs an answer to its end. each may be nil.
func Collect(events hosted.Events, each func(systemgemma.Event)) (*systemgemma.Result, error) {
	var result *systemgemma.Result
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		if each != nil {
			each(e)
		}
		if e.Result != nil {
			result = e.Result
		}
	}
	return result, nil
}
