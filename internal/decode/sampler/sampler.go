// Package sampler chooses the next token from a model's logits: penalties, temperature, top-k, top-p, min-p, and the draw.
//
// The steps run in the order of Hugging Face transformers' generate, with its semantics: repetition, presence and frequency
// penalties, temperature, top-k (which keeps all that equal the k-th), top-p (the shortest prefix whose probability reaches
// p), min-p (p times the largest probability). Presence and frequency penalties, which transformers lacks, follow llama.cpp.
//
// The same logits and seed give the same token on every machine: exp, log (package portable) and the random numbers are written in
// operations that IEEE 754 fixes, every sum runs in a stated order, and the number drawn depends only on the seed and on how
// many tokens were accepted before, so neither batching nor speculation changes an answer.
//
// It must not know what a token's text is, where logits come from, or when a generation ends.
package sampler

import (
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// A Sampler holds the state of one generation. It is not safe for concurrent use.
type Sampler struct {
	params   Params
	steps    []processor
	penalty  *penalties // nil when off; also the first of steps
	accepted uint64     // tokens accepted: the counter of the random numbers
	cand     candidates // scratch, as long as the vocabulary
}

// New checks p and returns a sampler that has accepted no token.
func New(p Params) (*Sampler, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	s := &Sampler{params: p}
	minKeep := max(1, p.MinKeep)
	if p.hasPenalties() {
		s.penalty = newPenalties(p)
		s.steps = append(s.steps, s.penalty)
	}
	if p.Temperature == 0 {
		return s, nil
	}
	if p.Temperature != 1 {
		s.steps = append(s.steps, temperature(p.Temperature))
	}
	if p.TopK > 0 {
		s.steps = append(s.steps, topK(p.TopK))
	}
	if p.TopP > 0 && p.TopP < 1 {
		s.steps = append(s.steps, topP{p.TopP, minKeep})
	}
	if p.MinP > 0 {
		s.steps = append(s.steps, minP{portable.Log(p.MinP), minKeep})
	}
	return s, nil
}

// Accept adds tokens to the history: the prompt's before the first Sample, then each token that became part of the answer.
func (s *Sampler) Accept(ids ...int32) {
	s.accepted += uint64(len(ids))
	if s.penalty != nil {
		for _, id := range ids {
			s.penalty.accept(id)
		}
	}
}

// Sample returns the next token and its log-probability (natural log) in the model's own distribution, before penalties and
// temperature. logits has one entry for each token of the vocabulary and is left unchanged. Sample does not accept the token:
// called again before Accept, it gives the same one. After the first call with a vocabulary it allocates nothing.
// The error says which logit is not finite, or that an accepted token is not in the vocabulary.
func (s *Sampler) Sample(logits []float32) (id int32, logprob float64, err error) {
	best, err := argmax(logits)
	if err != nil {
		return 0, 0, err
	}
	total := logSumExp(logits, logits[best])
	if len(s.steps) == 0 && s.params.Temperature == 0 {
		return best, float64(logits[best]) - total, nil
	}
	if s.penalty != nil && uint64(uint32(s.penalty.worst)) >= uint64(len(logits)) {
		return 0, 0, fmt.Errorf("token %d was accepted: want 0 to %d, the ids of this vocabulary; use the model's own tokenizer", s.penalty.worst, len(logits)-1)
	}
	s.cand.reset(logits)
	for _, p := range s.steps {
		p.apply(&s.cand)
	}
	if s.params.Temperature == 0 {
		id = s.cand.best().id
	} else {
		id = s.cand.draw(uniform(s.params.Seed, s.accepted))
	}
	return id, float64(logits[id]) - total, nil
}

// argmax returns the first index of the largest logit, or an error that names the first logit that is not finite.
func argmax(logits []float32) (int32, error) {
	if len(logits) == 0 {
		return 0, fmt.Errorf("no logits: want one for each token of the vocabulary")
	}
	best := 0
	for i, x := range logits {
		if math.Float32bits(x)&0x7f800000 == 0x7f800000 {
			return 0, fmt.Errorf("logit of token %d is %v: want finite numbers; the model's weights are damaged, verify the file", i, x)
		}
		if x > logits[best] {
			best = i
		}
	}
	return int32(best), nil
}
