package sampler

import "fmt"

// history is the tokens that were accepted.
type history struct {
	seed     uint64
	accepted int     // how many: the counter of the random numbers
	prompt   int     // of these, accepted before the first Sample; -1 before that
	ids      []int32 // all, if keep
	keep     bool    // some step wants ids
	worst    int32   // of all tokens the highest, or a negative one: what can be out of range
}

func (h *history) accept(id int32) {
	h.accepted++
	if uint32(id) > uint32(h.worst) {
		h.worst = id
	}
	if h.keep {
		h.ids = append(h.ids, id)
	}
}

// begin marks the end of the prompt.
func (h *history) begin() {
	if h.prompt < 0 {
		h.prompt = h.accepted
	}
}

// generated is the number of tokens of the answer.
func (h *history) generated() int {
	if h.prompt < 0 {
		return 0
	}
	return h.accepted - h.prompt
}

// promptIDs are the tokens of the prompt, once it has ended.
func (h *history) promptIDs() []int32 { return h.ids[:max(0, h.prompt)] }

// check refuses tokens that a vocabulary lacks.
func (h *history) check(vocabulary int) error {
	if uint64(uint32(h.worst)) >= uint64(vocabulary) {
		return fmt.Errorf("token %d was accepted: want 0 to %d, the ids of this vocabulary; use the model's own tokenizer", h.worst, vocabulary-1)
	}
	return nil
}
