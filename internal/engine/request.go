package engine

import (
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Sampler chooses tokens. It is used by one request at a time, on any goroutine.
type Sampler interface {
	// Accept tells the sampler tokens of the prompt or the answer.
	Accept(ids ...int32)
	// Sample chooses the next token from logits, which it may change, and gives its natural log probability under the
	// model, before any option changed the distribution.
	Sample(logits []float32) (id int32, logprob float64, err error)
}

// Constrained is a Sampler that may know what comes next whatever the model says, and when the answer is at its end.
type Constrained interface {
	Sampler
	// Certain appends to dst at most n tokens, which Sample will choose next whatever its logits are.
	Certain(dst []int32, n int) []int32
	// Done reports whether the answer ends with the token that was accepted last.
	Done() bool
}

// Drafter guesses tokens, which the model then checks side by side. A wrong guess costs time and changes nothing. One that has
// a method Close is closed when its request has ended.
type Drafter interface {
	// Draft appends to dst at most n tokens that may follow ids, the prompt and the answer so far.
	Draft(dst, ids []int32, n int) []int32
}

// Request is one generation, or with Read one reading of a prompt.
type Request struct {
	Prompt    []int32
	Sampler   Sampler        // nil: nothing is generated
	Stop      map[int32]bool // ids that end the answer; nil: none does
	MaxTokens int            // 0: as many as the context holds
	Priority  int            // a higher one is admitted first
	Drafter   Drafter        // nil: no guessing

	// Other, if not nil, is another prompt, which the answer's tokens follow as well: Sampler, which must be Guided, sees the logits
	// of both. Nothing is guessed then.
	Other []int32
	// Search, if not nil, follows several beginnings of an answer in place of Sampler. Token is not told; Stop is the search's business.
	Search Search

	// Adapters are those that prompt and answer are computed with, of the engine's model. nil: the model as it is.
	Adapters *gemma2.AdapterSet

	// Token is told every token of the answer, a stop token included, and ends it by returning false. It is called by the
	// engine, must not block, and is not called after the request has ended.
	Token func(Token) bool
	// Read, if not nil, gets the next-token logits of every prompt token from ReadFrom on, in order. It is called by the
	// engine, must not block, ends the request with its error, and is not called after the request has ended.
	Read     func(row int, logits []float32) error
	ReadFrom int
	States   bool // Read gets hidden states after the final norm, and nothing is generated

	// Progress, if not nil, is told how far the prompt is: when the request is admitted, and after each pass that computed a part of it,
	// before a token of that pass. It is called by the engine, which may hold its locks: it must not block nor call the engine.
	Progress func(Progress)
}

// Progress is how far a prompt is computed, with Request.Other both.
type Progress struct {
	Total, Done, Cached int           // tokens; of all; of these, computed or known; of these, known before
	Took                time.Duration // since the request was admitted
}

// Reason says why an answer ended.
type Reason string

const (
	// ReasonStop: a stop token came, or whoever reads the answer wanted no more.
	ReasonStop Reason = "stop"
	// ReasonLength: the limit on tokens or the end of the context was reached.
	ReasonLength Reason = "length"
)

// Token is one step of an answer.
type Token struct {
	ID      int32
	Logprob float64
	Stop    bool // it is one of Request.Stop
}

// Stats says what a request did and how long it took.
type Stats struct {
	PromptTokens    int
	CachedTokens    int // of the prompt, whose keys and values were there already
	GeneratedTokens int
	DraftedTokens   int           // guessed
	AcceptedTokens  int           // of these, guessed right
	CertainTokens   int           // computed side by side because a Constrained sampler knew them
	Queue           time.Duration // from the call to the first step
	Prefill         time.Duration // from there to the first logits
	Decode          time.Duration // from there to the last token
	Warnings        []string      // what went wrong without harm to the answer
}

// Running is a request under way.
type Running struct {
	done   chan struct{}
	mu     sync.Mutex
	reason Reason
	stats  Stats
	err    error
	over   bool
}

// Done is closed when the request has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Wait waits for the end of the request. The statistics are right also with an error, up to where it came: when the
// request's context ends, that is its error.
func (r *Running) Wait() (Reason, Stats, error) {
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason, r.stats, r.err
}

// end ends the request, and says whether it had not ended before.
func (r *Running) end(reason Reason, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.over, r.reason, r.err = true, reason, err
	close(r.done)
	return true
}

func (r *Running) ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// tell counts a token and hands it to the request's reader, unless the request has ended: after that nobody is called.
func (r *Running) tell(req *Request, t Token, decode time.Duration) (wanted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.stats.GeneratedTokens++
	r.stats.Decode = decode
	return req.Token == nil || req.Token(t)
}

// read hands a row of logits to the request's reader, unless the request has ended.
func (r *Running) read(req *Request, row int, logits []float32) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return errAbandoned
	}
	return req.Read(row, logits)
}

// report tells the request's reader how far the prompt is, unless the request has ended.
func (r *Running) report(req *Request, p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		req.Progress(p)
	}
}

// update changes the statistics of a request that has not ended.
func (r *Running) update(f func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		f(&r.stats)
	}
}
