package systemgemma

import (
	"fmt"
	"slices"
	"strings"
)

// Mode is a named way to answer: how tokens are chosen, and a system prompt that fits. The names and numbers are local-gemma's;
// there a mode's text hides in the first user turn, here it is a system prompt that you see.
type Mode struct {
	Name     string
	System   string
	Sampling Sampling
}

// Modes are chat, factual and creative.
func Modes() []Mode {
	return []Mode{
		{"chat", "You are a helpful assistant in a conversation.", Sampling{Temperature: 0.7}},
		{"factual", "Answer with facts, briefly. If you do not know, say so.", Sampling{Temperature: 0.3, RepetitionPenalty: 1.2}},
		{"creative", "Write with imagination: surprising ideas, vivid words.", Sampling{Temperature: 1.5, MinP: 0.08}},
	}
}

// FindMode returns the mode of that name.
func FindMode(name string) (Mode, error) {
	var names []string
	for _, m := range Modes() {
		names = append(names, m.Name)
	}
	if i := slices.Index(names, name); i >= 0 {
		return Modes()[i], nil
	}
	return Mode{}, fmt.Errorf("mode: want %s, found %.40q", strings.Join(names, ", "), name)
}
