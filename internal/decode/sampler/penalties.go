package sampler

// penalties lowers the scores of tokens that stand in the window.
type penalties struct {
	repetition, presence, frequency float64

	counts map[int32]int32 // how often each token stands in the window; none is 0
	ring   []int32         // the window's tokens when it is limited, oldest at next once it is full
	next   int
	window int // 0: all tokens
}

func newPenalties(p Params) *penalties {
	s := &penalties{
		repetition: p.RepetitionPenalty, presence: p.PresencePenalty, frequency: p.FrequencyPenalty,
		counts: map[int32]int32{}, window: p.PenaltyWindow,
	}
	if s.repetition == 0 {
		s.repetition = 1
	}
	return s
}

// accept adds a token at the end of the window; one too old leaves it.
func (s *penalties) accept(id int32) {
	s.counts[id]++
	switch {
	case s.window == 0:
	case len(s.ring) < s.window:
		s.ring = append(s.ring, id)
	default:
		old := s.ring[s.next]
		if s.counts[old]--; s.counts[old] == 0 {
			delete(s.counts, old)
		}
		s.ring[s.next] = id
		s.next = (s.next + 1) % s.window
	}
}

func (s *penalties) apply(c *candidates) {
	c.each(s.counts, func(x *candidate, count int32) {
		score := float64(x.score) // rounded to float32 once, at the end: presence may cancel nearly all of it
		if score > 0 {
			score /= s.repetition
		} else {
			score = float64(score * s.repetition)
		}
		x.change(float32(score - float64(float64(count)*s.frequency) - s.presence))
	})
}
