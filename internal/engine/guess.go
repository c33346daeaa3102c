package engine

import "time"

// guessing is what a request has learned about its guesses.
type guessing struct {
	n       int     // tokens to guess
	off     int     // steps without guessing that are still to come
	penalty int     // the next number of those
	gain    float64 // tokens per unit of a plain step's time, averaged over recent steps with guesses; 0: not known
}

const (
	// maxGuesses fills a panel of 16 rows with the token that is certain.
	maxGuesses = 15
	// fewSequences is the most generating requests beside which guessing can pay: more fill the panels anyway.
	fewSequences = 4
	maxPenalty   = 256
)

// account bounds what guesses may cost all requests that want them together, be they short ones of which each tries its luck anew.
type account struct {
	spent time.Duration // by passes that only generated, for requests with a drafter too
	lost  time.Duration // by guesses: more than the same tokens would have taken without; at least 0, so that nothing is saved up for later losses
}

const (
	maxLost = 25               // guesses may lose one part in this many: 4 %
	memory  = 10 * time.Second // of an account: what lies farther back counts half, a quarter, ...
)

// allows says whether guesses that may turn out wrong can be afforded.
func (a *account) allows() bool { return a.lost <= a.spent/maxLost }

// add takes in a pass, and how long its tokens would have taken without guesses.
func (a *account) add(took, plain time.Duration) {
	if a.spent > memory {
		a.spent, a.lost = a.spent/2, a.lost/2
	}
	a.spent += took
	a.lost = max(0, a.lost+took-plain)
}

// guess sets s.draft to at most room tokens and says how many they are. Those that are certain are worth it always: they have to
// be computed anyway.
func (e *Engine) guess(s *sequence, decoding, room int) int {
	g := &s.guess
	if s.group != nil {
		return 0
	}
	if s.constrained != nil {
		s.draft = s.constrained.Certain(s.draft, max(0, min(maxGuesses, room, s.limit-len(s.all)-1)))
		if s.certain = len(s.draft) > 0; s.certain {
			return len(s.draft)
		}
	}
	if s.req.Drafter == nil || decoding > fewSequences || e.plain.of(decoding) == 0 {
		return 0
	}
	if g.off > 0 {
		g.off--
		return 0
	}
	if g.gain == 0 && !e.account.allows() {
		return 0
	}
	if g.n == 0 {
		g.n = 3
	}
	n := min(g.n, room, s.limit-len(s.all)-1)
	if n <= 0 {
		return 0
	}
	s.draft = s.req.Drafter.Draft(s.draft, s.all, n)
	s.draft = s.draft[:min(len(s.draft), n)]
	return len(s.draft)
}

// learn adjusts guessing after a pass that took d: from the times of passes with and without guesses, and from how many
// tokens came of them. Guessing that does not pay stops, and is tried again ever more rarely, and only while all such tries together
// have lost little (account). Bits do not depend on any of this.
func (e *Engine) learn(d time.Duration) {
	guesses, decoding, tokens := 0, 0, 0
	drafting := false
	for _, s := range e.plan.seqs {
		if s.certain {
			return // says nothing about steps with guesses, nor about plain ones
		}
		guesses += len(s.draft)
		tokens += len(s.sampled)
		drafting = drafting || s.req.Drafter != nil
		if s.decoding() {
			decoding++
		}
	}
	if decoding == 0 || decoding < len(e.plan.seqs) {
		return // a prompt was part of it
	}
	if guesses == 0 {
		e.plain.add(decoding, d)
		if drafting { // others pay for no tries
			e.account.add(d, d)
		}
		return
	}
	plain := e.plain.of(decoding)
	d = max(d, plain) // no pass with guesses is faster than without: a busy machine only makes it look so
	e.account.add(d, plain*time.Duration(tokens)/time.Duration(decoding))
	for _, s := range e.plan.seqs {
		if len(s.draft) > 0 {
			s.guess.learn(len(s.draft), len(s.sampled), float64(plain)/float64(d))
		}
	}
}

// learn takes in that of some guesses tokens came, in a step whose plain form would have taken that share of its time.
func (g *guessing) learn(guesses, tokens int, share float64) {
	switch right := tokens - 1; {
	case right == guesses:
		g.n = min(2*g.n+1, maxGuesses)
	case right == 0:
		g.n = max(1, g.n/2)
	}
	if gain := float64(tokens) * share; g.gain == 0 {
		g.gain = gain
	} else {
		g.gain = 0.7*g.gain + 0.3*gain
	}
	if g.gain > 1 { // not of wrong guesses, whose share is at most 1
		g.penalty = 0
		return
	}
	g.penalty = min(max(4, 2*g.penalty), maxPenalty)
	g.off, g.gain, g.n = g.penalty, 0, 3
}

// stepTimes are recent times of plain steps, by the number of generating requests.
type stepTimes [fewSequences + 1]time.Duration

func (t *stepTimes) add(n int, d time.Duration) {
	if n > fewSequences {
		return
	}
	if t[n] == 0 || d < t[n] {
		t[n] = d
	} else {
		t[n] += (d - t[n]) / 8
	}
}

func (t *stepTimes) of(n int) time.Duration {
	if n > fewSequences {
		return 0
	}
	return t[n]
}
