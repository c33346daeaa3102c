// Package passage is a short text of this project's own by which models are compared, and the cutting of other texts for that.
//
// It must not know models, tokens or templates. Numbers of different texts can't be compared, so Version changes with the text.
package passage

import (
	_ "embed"
	"strings"
	"unicode/utf8"
)

// Version names the built-in text.
const Version = "built-in 1"

// Passage is prose, and what a conversation could be in which it is the answer.
type Passage struct{ System, User, Text string }

//go:embed builtin.txt
var text string

// BuiltIn is the built-in text: blocks of three lines each, between empty lines.
func BuiltIn() []Passage {
	var list []Passage
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		lines := strings.SplitN(block, "\n", 3)
		list = append(list, Passage{lines[0], lines[1], lines[2]})
	}
	return list
}

// pieceBytes is the most that a passage of Cut has: some hundred tokens of prose.
const pieceBytes = 1600

// Cut makes passages of another text: pieces of at most 1600 bytes that end at the last line end, else the last space, else character
// that fits. Nothing of the text is lost but white space around pieces; those without anything else are left out.
func Cut(text string) (list []Passage) {
	for text != "" {
		n := len(text)
		if n > pieceBytes {
			n = pieceBytes
			if at := strings.LastIndexByte(text[:n], '\n'); at > 0 {
				n = at + 1
			} else if at := strings.LastIndexByte(text[:n], ' '); at > 0 {
				n = at + 1
			} else {
				for n > 1 && !utf8.RuneStart(text[n]) {
					n--
				}
			}
		}
		if piece := strings.TrimSpace(text[:n]); piece != "" {
			list = append(list, Passage{"You are a helpful assistant.", "Write a passage of text.", piece})
		}
		text = text[n:]
	}
	return list
}
