package chat

// history is the inputs of this session, for the up and down keys. It is not kept on disk: chats are private.
type history struct {
	inputs []string
	at     int    // index of the shown input; len(inputs): the draft
	draft  string // what was being written before going up
}

// add appends an input and goes to an empty draft.
func (h *history) add(input string) {
	if n := len(h.inputs); n == 0 || h.inputs[n-1] != input {
		h.inputs = append(h.inputs, input)
	}
	h.at, h.draft = len(h.inputs), ""
}

// up is the input before the shown one, which is current.
func (h *history) up(current string) (string, bool) {
	if h.at == 0 {
		return "", false
	}
	if h.at == len(h.inputs) {
		h.draft = current
	}
	h.at--
	return h.inputs[h.at], true
}

// down is the input after the shown one, at last the draft.
func (h *history) down() (string, bool) {
	if h.at >= len(h.inputs) {
		return "", false
	}
	h.at++
	if h.at == len(h.inputs) {
		return h.draft, true
	}
	return h.inputs[h.at], true
}
