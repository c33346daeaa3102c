package grammar

import "unicode/utf8"

// maxForced is how many bytes Forced looks ahead.
const maxForced = 4096

// Forced appends the tokens that must come next, whatever the model says, so that it needs no step for them; the caller accepts
// each. encode is the tokenizer's, of mere text, so that the tokens are those the model knows this text by. Where the last of them
// might have been a longer one that goes on with what is not forced, it is left to the model. With a nil encode the longest
// pieces are taken.
func (m *Matcher) Forced(tokens []int32, encode func(tokens []int32, text string) []int32) []int32 {
	a := m.a
	a.begin()
	defer a.mu.Unlock()
	if m.ended {
		return tokens
	}
	text, state := a.forced(m.state)
	if len(text) == 0 || a.arena.over != "" {
		return tokens
	}
	first := len(tokens)
	if encode != nil {
		tokens = encode(tokens, string(text))
	}
	if !a.spell(tokens[first:], text) {
		tokens = tokens[:first]
		for rest := string(text); len(rest) > 0; {
			token, size := a.vocab.longestPiece(rest)
			tokens, rest = append(tokens, token), rest[max(size, 1):]
		}
	}
	at := 0
	for i, token := range tokens[first:] {
		if a.extends(text[at:], state) {
			return tokens[:first+i]
		}
		at += len(a.vocab.pieces[token])
	}
	return tokens
}

// forced returns the whole characters that must follow a state, and the state after them.
func (a *automaton) forced(state id) (text []byte, end id) {
	whole := 0
	end = state
	for len(text) < maxForced && !a.arena.nullable(state) {
		only := -1 // the byte that must follow
		cuts := a.arena.cuts(state)
		cuts.rangesOf(func(lo, hi byte) bool {
			if a.step(state, lo) == fail {
				return true
			}
			if only >= 0 || lo != hi {
				only = -1
				return false
			}
			only = int(lo)
			return true
		})
		if only < 0 {
			break
		}
		text = append(text, byte(only))
		state = a.step(state, byte(only))
		if utf8.Valid(text[whole:]) {
			whole, end = len(text), state
		}
	}
	return text[:whole], end
}

// spell reports whether tokens may be in a text and are together what text is.
func (a *automaton) spell(tokens []int32, text []byte) bool {
	for _, token := range tokens {
		if token < 0 || int(token) >= len(a.vocab.pieces) {
			return false
		}
		p := a.vocab.pieces[token]
		if p == "" || len(p) > len(text) || string(text[:len(p)]) != p {
			return false
		}
		text = text[len(p):]
	}
	return len(text) == 0
}

// extends reports whether a piece begins with text and goes on as state allows.
func (a *automaton) extends(text []byte, state id) bool {
	n := a.vocab.find(text)
	if n < 0 {
		return false
	}
	nodes := a.vocab.nodes
	for i := n + 1; i < nodes[n].skip; i = nodes[i].skip {
		if a.step(state, nodes[i].byte) != fail {
			return true
		}
	}
	return false
}
