// Package sampler chooses the next token from a model's logits, with the options of llama.cpp and Hugging Face transformers.
//
// A token comes about in four parts. Rules about tokens change or ban single ones: biases, bans, forced tokens, the caller's own
// (Processor). Samplers, whose order is an option, change scores or drop candidates: penalties, temperatures, top-k and its
// many kin. A watermark may follow. Then one candidate is drawn, by mirostat or plainly. Where the two systems differ, Rules
// decide; each set passes all reference data of its system.
//
// The same logits and seed give the same token on every machine: exp, log (package portable) and the random numbers are written in
// operations that IEEE 754 fixes, every sum runs in a stated order, and the numbers drawn depend only on the seed and on how
// many tokens were accepted before, so neither batching nor speculation changes an answer. All that a step remembers changes
// when tokens are accepted, never when they are sampled.
//
// It must not know what a token's text is, where logits come from, or when a generation ends.
package sampler

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
)

// A Sampler holds the state of one generation. It is not safe for concurrent use.
type Sampler struct {
	params    Params
	history   history
	steps     []step
	lastRule  int        // the last step that may ban tokens; -1: none may
	rules     []string   // names of those that may
	option    string     // the option with the highest token, or a negative one, for check
	optionID  int32      // and that token
	mirostat  *mirostat  // draws; nil: plainly
	guidance  *guidance  // nil: off
	accepters []accepter // what remembers tokens by itself
	cand      candidates // scratch, as long as the vocabulary

	detail Detail // of the last Sample
	told   []Detail
}

// accepter is a step that is told each token before history is.
type accepter interface{ accept(id int32) }

// New checks p and returns a sampler that has accepted no token.
func New(p Params) (*Sampler, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	s := &Sampler{params: p}
	s.option, s.optionID = p.worst()
	s.begin()
	return s, nil
}

// Fresh returns a sampler of the same options that has accepted no token.
func (s *Sampler) Fresh() *Sampler {
	f := &Sampler{params: s.params, option: s.option, optionID: s.optionID}
	f.begin()
	return f
}

// Restart makes s as if it had accepted a prompt and a part of an answer only.
func (s *Sampler) Restart(prompt, answer []int32) {
	s.begin()
	s.Accept(prompt...)
	s.history.begin()
	s.Accept(answer...)
}

// begin makes all that remembers tokens, of which there are none yet.
func (s *Sampler) begin() {
	p := &s.params
	s.history = history{seed: p.Seed, prompt: -1}
	s.steps, s.lastRule, s.rules, s.accepters = p.steps(&s.history), -1, nil, nil
	s.mirostat, s.guidance, s.detail, s.told = nil, nil, Detail{}, nil
	for i, x := range s.steps {
		if !slices.Contains(SamplerNames, x.name) && x.name != "watermark" {
			s.lastRule, s.rules = i, append(s.rules, x.name)
		}
		if a, ok := x.processor.(accepter); ok {
			s.accepters = append(s.accepters, a)
		}
		if g, ok := x.processor.(*guidance); ok {
			s.guidance = g
		}
	}
	if p.Mirostat != 0 {
		s.mirostat = newMirostat(p)
		s.accepters = append(s.accepters, s.mirostat)
	}
}

// Accept adds tokens to the history: the prompt's before the first Sample, then each token that became part of the answer.
func (s *Sampler) Accept(ids ...int32) {
	for _, id := range ids {
		for _, a := range s.accepters {
			a.accept(id)
		}
		s.history.accept(id)
	}
	if s.telling() && s.history.prompt >= 0 && len(ids) > 0 {
		for range len(ids) - 1 {
			s.told = append(s.told, Detail{}) // not sampled: nothing is known
		}
		s.told = append(s.told, s.detail)
		s.detail = Detail{}
	}
}

func (s *Sampler) telling() bool { return s.params.TopLogprobs > 0 || s.params.Explain > 0 }

// Taken returns what led to the oldest token of the answer that it was not asked about yet; nothing without TopLogprobs and
// Explain.
func (s *Sampler) Taken() Detail {
	if len(s.told) == 0 {
		return Detail{}
	}
	d := s.told[0]
	s.told = slices.Delete(s.told, 0, 1)
	return d
}

// Sample returns the next token and its log-probability (natural log) in the model's own distribution, before any option
// changed it. logits has one entry for each token of the vocabulary and is left unchanged. Sample does not accept the token:
// called again before Accept, it gives the same one. After the first call with a vocabulary it allocates nothing.
// The error says which logit is not finite, that a token of history or options is not in the vocabulary, or that all tokens
// are banned.
func (s *Sampler) Sample(logits []float32) (id int32, logprob float64, err error) {
	return s.SampleAmong(logits, nil)
}

// SampleAmong is Sample among some tokens only: those whose bit is set in allowed, id%64 of word id/64. nil is all. The others are
// no candidates for any step; the log-probability is still that of the model's own distribution over all.
func (s *Sampler) SampleAmong(logits []float32, allowed []uint64) (id int32, logprob float64, err error) {
	best, err := argmax(logits)
	if err != nil {
		return 0, 0, err
	}
	s.history.begin()
	total := logSumExp(logits, logits[best])
	if s.guidance != nil {
		if err := s.guidance.ready(len(logits), total); err != nil {
			return 0, 0, err
		}
	}
	id = best
	if len(s.steps) > 0 || s.params.Temperature != 0 || s.telling() || allowed != nil {
		if id, err = s.choose(logits, allowed); err != nil {
			return 0, 0, err
		}
	}
	if n := s.params.TopLogprobs; n > 0 {
		s.detail.Top = TopLogprobs(logits, n)
	}
	return id, float64(logits[id]) - total, nil
}

// choose runs all steps and draws.
func (s *Sampler) choose(logits []float32, allowed []uint64) (id int32, err error) {
	if err := s.check(len(logits)); err != nil {
		return 0, err
	}
	c := &s.cand
	c.reset(logits)
	s.explain("logits", true)
	if s.lastRule < 0 {
		if err := s.restrict(allowed); err != nil {
			return 0, err
		}
	}
	for i, x := range s.steps {
		x.apply(c)
		if c.err != nil {
			return 0, c.err
		}
		if i == s.lastRule && !c.best().possible() {
			return 0, fmt.Errorf("no token is left: together, %s ban all of the vocabulary", strings.Join(s.rules, ", "))
		}
		s.explain(x.name, false)
		if i == s.lastRule {
			if err := s.restrict(allowed); err != nil {
				return 0, err
			}
		}
	}
	name := "draw"
	u := uniform(s.params.Seed, uint64(s.history.accepted))
	switch {
	case s.params.Temperature == 0:
		name, id = "greedy", c.best().id
	case s.mirostat != nil:
		name, id = "mirostat", s.mirostat.draw(c, len(logits), u)
	default:
		id = c.draw(u)
	}
	s.explain(name, false)
	if n := len(s.detail.Steps); n > 0 {
		chose := id
		s.detail.Steps[n-1].Chose = &chose
	}
	return id, nil
}

// restrict leaves the allowed candidates, once the rules, which know tokens by their places, have had all; nil allows all.
func (s *Sampler) restrict(allowed []uint64) error {
	if allowed == nil {
		return nil
	}
	s.cand.keepAllowed(allowed)
	if len(s.cand.list) == 0 || !s.cand.best().possible() {
		return fmt.Errorf("no token is left: together, %s ban all of the vocabulary", strings.Join(append(slices.Clone(s.rules), "the format"), ", "))
	}
	s.explain("format", false)
	return nil
}

// explain notes what a step left, if that is wanted.
func (s *Sampler) explain(name string, first bool) {
	if s.params.Explain == 0 {
		return
	}
	if first {
		s.detail.Steps = nil
	}
	s.detail.Steps = append(s.detail.Steps, s.cand.explain(name, s.params.Explain))
}

// check refuses tokens that are not in the vocabulary.
func (s *Sampler) check(vocabulary int) error {
	if err := s.history.check(vocabulary); err != nil {
		return err
	}
	if uint64(uint32(s.optionID)) >= uint64(vocabulary) {
		return &OptionError{s.option, fmt.Sprintf("tokens 0 to %d, the ids of this vocabulary", vocabulary-1), s.optionID}
	}
	return nil
}

// argmax returns the first index of the largest logit, or an error that names the first logit that is not finite.
func argmax(logits []float32) (int32, error) {
	if len(logits) == 0 {
		return 0, fmt.Errorf("no logits: want one for each token of the vocabulary")
	}
	from, best := 0, logits[0] // the first block with the best logit, and that
	for i := 0; i < len(logits); i += argmaxBlock {
		block := logits[i:min(i+argmaxBlock, len(logits))]
		whole := block[:len(block)&^15]
		if !kernel.Finite(whole) {
			return 0, notFinite(logits)
		}
		top := kernel.Max(whole)
		for _, x := range block[len(whole):] {
			if math.Float32bits(x)&0x7f800000 == 0x7f800000 {
				return 0, notFinite(logits)
			}
			top = max(top, x)
		}
		if top > best {
			from, best = i, top
		}
	}
	return int32(from + slices.Index(logits[from:], best)), nil
}

// argmaxBlock is how many logits argmax looks at together.
const argmaxBlock = 512

// notFinite names the first logit that is not finite.
func notFinite(logits []float32) error {
	i := slices.IndexFunc(logits, func(x float32) bool { return math.Float32bits(x)&0x7f800000 == 0x7f800000 })
	return fmt.Errorf("logit of token %d is %v: want finite numbers; the model's weights are damaged, verify the file", i, logits[i])
}
