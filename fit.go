package systemgemma

import (
	"fmt"
	"slices"
)

// ContextPolicy says what becomes of a conversation that is too long for the context.
type ContextPolicy string

const (
	// ContextError refuses it with ErrContextLength, which says how many tokens to remove.
	ContextError ContextPolicy = "error"
	// ContextDropOldest leaves out the oldest turns, a question with its answers each, but never a system prompt, until the rest and MaxTokens
	// (else an eighth of the context) fit. Result.DroppedMessages and a warning say so.
	ContextDropOldest ContextPolicy = "drop-oldest-turns"
)

// fit renders the messages, or as many of them as o.Context wants to keep.
func (m *Model) fit(messages []Message, ro RenderOptions, o *ChatOptions) (r *Rendered, dropped int, err error) {
	if o.Context != "" && o.Context != ContextError && o.Context != ContextDropOldest {
		return nil, 0, fmt.Errorf("context policy: want %s or %s, found %q", ContextError, ContextDropOldest, o.Context)
	}
	room := o.MaxTokens
	if room == 0 {
		room = m.ContextLength() / 8
	}
	for {
		if r, err = m.Render(messages, ro); err != nil || o.Context != ContextDropOldest || len(r.IDs)+room <= m.ContextLength() {
			break
		}
		from, to := oldestTurn(messages)
		if from == to {
			break // the engine says what is too long
		}
		dropped += to - from
		messages = slices.Delete(slices.Clone(messages), from, to)
	}
	if err == nil && dropped > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the conversation is longer than the context of %d tokens: its %d oldest messages were left out", m.ContextLength(), dropped))
	}
	return r, dropped, err
}

// oldestTurn is the range of the first question and all up to the next one, system prompts apart; empty when there is none but
// the last.
func oldestTurn(messages []Message) (from, to int) {
	isSystem := func(m Message) bool { return m.Role == "system" || m.Role == "developer" }
	for from < len(messages) && isSystem(messages[from]) {
		from++
	}
	to = from + 1
	for to < len(messages) && messages[to].Role != "user" && !isSystem(messages[to]) {
		to++
	}
	if !slices.ContainsFunc(messages[min(to, len(messages)):], func(m Message) bool { return m.Role == "user" }) {
		return 0, 0
	}
	return from, to
}
