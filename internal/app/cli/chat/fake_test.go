package chat

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// fake answers with scripted texts, word by word, and records what it was asked.
type fake struct {
	answers  []string // one an answer; then "ok"
	fail     error    // instead of the next answer
	defaults systemgemma.Sampling
	asked    [][]systemgemma.Message
	options  []*systemgemma.ChatOptions
	hold     chan struct{} // not nil: wait for it, or the context, after the first word
	ended    chan struct{} // not nil: closed when an answer has ended
	context  int           // tokens that there is room for; not 0: words are tokens
}

func (f *fake) ContextLength() int { return f.context }

func (f *fake) DefaultSampling() systemgemma.Sampling { return f.defaults }

func (f *fake) Chat(ctx context.Context, m []systemgemma.Message, o *systemgemma.ChatOptions) iter.Seq2[systemgemma.Event, error] {
	f.asked, f.options = append(f.asked, m), append(f.options, o)
	answer, fail := "ok", f.fail
	if len(f.answers) > 0 {
		answer, f.answers = f.answers[0], f.answers[1:]
	}
	f.fail = nil
	return func(yield func(systemgemma.Event, error) bool) {
		if f.ended != nil {
			defer close(f.ended)
		}
		if fail != nil {
			yield(systemgemma.Event{ID: -1}, fail)
			return
		}
		r := &systemgemma.Result{FinishReason: systemgemma.FinishStop}
		for i, word := range strings.SplitAfter(answer, " ") {
			if ctx.Err() != nil {
				break
			}
			r.Text += word
			if !yield(systemgemma.Event{Text: word, ID: int32(i)}, nil) {
				return
			}
			if f.hold != nil {
				select {
				case <-f.hold:
				case <-ctx.Done():
				}
			}
		}
		if ctx.Err() != nil {
			r.FinishReason = systemgemma.FinishCancel
		}
		yield(systemgemma.Event{ID: -1, Result: r}, ctx.Err())
	}
}

func (f *fake) Render(m []systemgemma.Message, o systemgemma.RenderOptions) (*systemgemma.Rendered, error) {
	if o.SystemMode == "strict" {
		return nil, fmt.Errorf("strict: system role not supported")
	}
	r := &systemgemma.Rendered{Text: transcript(m), IDs: []int32{2, 7}}
	if f.context > 0 {
		r.IDs = make([]int32, len(strings.Fields(r.Text)))
	}
	for _, x := range m {
		r.Segments = append(r.Segments, systemgemma.Segment{Text: "<start_of_turn>", Control: true}, systemgemma.Segment{Text: x.Role + "\n" + x.Content},
			systemgemma.Segment{Text: "<end_of_turn>", Control: true}, systemgemma.Segment{Text: "\n"})
	}
	return r, nil
}

// transcript is a conversation on one line.
func transcript(m []systemgemma.Message) string {
	var parts []string
	for _, x := range m {
		parts = append(parts, x.Role+": "+x.Content)
	}
	return strings.Join(parts, " | ")
}

// say submits an input and finishes its answer.
func say(t *testing.T, s *Session, input string) Reply {
	t.Helper()
	r := s.Submit(input)
	if !r.Answer {
		return r
	}
	return finish(s, s.Answer(t.Context()))
}

func finish(s *Session, answer iter.Seq2[systemgemma.Event, error]) Reply {
	var result *systemgemma.Result
	var err error
	for e, eventErr := range answer {
		result, err = e.Result, eventErr
	}
	return s.Finish(result, err)
}

// ask is the conversation of the last answer.
func (f *fake) ask() string {
	if len(f.asked) == 0 {
		return ""
	}
	return transcript(f.asked[len(f.asked)-1])
}
