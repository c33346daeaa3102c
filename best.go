package systemgemma

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
)

// maxAnswers bounds the answers to one prompt.
const maxAnswers = 128

// GenerateN gives n answers to a prompt, 1 to 128, side by side: answer i is the one that Generate gives with a seed i higher than
// that of the first. Equal beginnings are computed once. The sampling must not be greedy when n is above 1. When ctx is
// cancelled, the answers are what there was, beside the error.
func (m *Model) GenerateN(ctx context.Context, p Prompt, o *GenerateOptions, n int) ([]Result, error) {
	if o == nil {
		o = &GenerateOptions{}
	}
	return m.answers(ctx, *o, n, func(ctx context.Context, one *GenerateOptions) iter.Seq2[Event, error] {
		return m.Generate(ctx, p, one)
	})
}

// ChatN is GenerateN for Chat.
func (m *Model) ChatN(ctx context.Context, messages []Message, o *ChatOptions, n int) ([]Result, error) {
	if o == nil {
		o = &ChatOptions{}
	}
	return m.answers(ctx, o.GenerateOptions, n, func(ctx context.Context, one *GenerateOptions) iter.Seq2[Event, error] {
		chat := *o
		chat.GenerateOptions = *one
		return m.Chat(ctx, messages, &chat)
	})
}

func (m *Model) answers(ctx context.Context, o GenerateOptions, n int, start func(context.Context, *GenerateOptions) iter.Seq2[Event, error]) ([]Result, error) {
	s := m.defaults
	if o.Sampling != nil {
		s = *o.Sampling
	}
	switch {
	case n < 1 || n > maxAnswers:
		return nil, fmt.Errorf("n: want 1 to %d answers, found %d", maxAnswers, n)
	case o.Progress:
		return nil, errors.New("progress: want Generate or Chat, whose events tell it")
	case n > 1 && s.Temperature == 0:
		return nil, fmt.Errorf("n: want a temperature above 0 for %d answers, found 0, which gives the same one each time", n)
	}
	s = s.withSeed()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results, errs := make([]Result, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		own, one := s, o
		own.Seed += uint64(i)
		one.Sampling = &own
		wg.Go(func() {
			for e, err := range start(ctx, &one) {
				if e.Result != nil {
					results[i] = *e.Result
				}
				if errs[i] = err; err != nil {
					cancel() // the others' answers would be lost with this one's
				}
			}
		})
	}
	wg.Wait()
	return results, firstCause(errs)
}

// firstCause is the first error that is not the mere end of a context, or the first one.
func firstCause(errs []error) error {
	var first error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// MeanLogprob is the mean log probability of the answer's tokens under the model; -Inf for none.
func (r *Result) MeanLogprob() float64 {
	if len(r.Logprobs) == 0 {
		return math.Inf(-1)
	}
	sum := 0.0
	for _, x := range r.Logprobs {
		sum += x
	}
	return sum / float64(len(r.Logprobs))
}

// Best is the index of the answer with the highest mean log probability, the first among equals; -1 for no answers.
func Best(results []Result) int {
	best := -1
	for i := range results {
		if best < 0 || results[i].MeanLogprob() > results[best].MeanLogprob() {
			best = i
		}
	}
	return best
}
