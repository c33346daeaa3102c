// Package breakers finds the tokens by which a text may come, for DRY's sequence breakers, as llama.cpp defines them.
//
// A text comes in one token that holds it, or begins at the end of one (the first) and goes on in others (the tail): the tokens that the
// tokenizer makes of what is left of it, or the first 20 of these. So "\nUser:" is found where a token ends in a line end, in "\nU", and so on.
// The package owns which sequences these are, and keeps those of the lists asked for last. It must not know what repetitions are.
package breakers

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// A Vocabulary is tokens by their texts.
type Vocabulary struct {
	Size   int
	Text   func(id int32) string     // a control token as it is spelled; need not be UTF-8
	Encode func(text string) []int32 // of text without control tokens, which need not be UTF-8 at its beginning
}

// Bounds of a list of texts: how many, and of how many bytes; of the tokens of a tail; of all sequences that have one.
const (
	MaxTexts = 64
	MaxBytes = 40 // llama.cpp cuts longer texts, and tails
	maxTail  = 20
	maxTails = 1 << 18
)

// Check refuses texts that can't be breakers.
func Check(texts []string) error {
	if len(texts) > MaxTexts {
		return fmt.Errorf("dry_breakers: want at most %d texts, found %d", MaxTexts, len(texts))
	}
	for _, text := range texts {
		switch {
		case text == "" || len(text) > MaxBytes:
			return fmt.Errorf("dry_breakers: want texts of 1 to %d bytes, found %d: %q", MaxBytes, len(text), text)
		case !utf8.ValidString(text):
			return fmt.Errorf("dry_breakers: want UTF-8, found %q", text)
		}
	}
	return nil
}

// each calls add with the sequences of texts, which Check took. It looks at each token once.
func (v *Vocabulary) each(texts []string, add func(first int32, tail []int32)) error {
	var begin [256][]int // the texts that begin with a byte
	tails := make([][][]int32, len(texts))
	for i, text := range texts {
		begin[text[0]] = append(begin[text[0]], i)
		tails[i] = make([][]int32, len(text))
	}
	n := 0
	for id := range int32(v.Size) {
		token := v.Text(id)
		if holds(token, &begin, texts) {
			add(id, nil)
		}
		for at := range len(token) {
			for _, i := range begin[token[at]] {
				k := len(token) - at // bytes of the text that the token has, if it ends in its beginning
				if k >= len(texts[i]) || texts[i][:k] != token[at:] || strings.Contains(token, texts[i]) {
					continue
				}
				if tails[i][k] == nil {
					tail := v.Encode(texts[i][k:])
					tails[i][k] = slices.Clip(tail[:min(len(tail), maxTail)])
				}
				if n++; n > maxTails {
					return fmt.Errorf("dry_breakers: want texts that begin in fewer tokens: together, more than %d sequences of tokens spell them", maxTails)
				}
				add(id, tails[i][k])
			}
		}
	}
	return nil
}

// holds says whether a token has one of the texts in it.
func holds(token string, begin *[256][]int, texts []string) bool {
	for at := range len(token) {
		for _, i := range begin[token[at]] {
			if strings.HasPrefix(token[at:], texts[i]) {
				return true
			}
		}
	}
	return false
}

// kept is how many lists a Cache knows.
const kept = 4

// Cache finds breakers, and keeps those of the lists used last, since finding them takes as long as many tokens. The zero value is
// ready. It is safe for concurrent use; all its calls are of one vocabulary.
type Cache struct {
	mu   sync.Mutex
	list []entry // guarded by mu; at most kept, the one used last first
}

type entry struct {
	texts []string // sorted, each once
	found *sampler.Breakers
}

// Find returns the breakers of texts.
func (c *Cache) Find(v *Vocabulary, texts []string) (*sampler.Breakers, error) {
	if err := Check(texts); err != nil {
		return nil, err
	}
	texts = slices.Clone(texts)
	slices.Sort(texts)
	texts = slices.Compact(texts)
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.list, func(e entry) bool { return slices.Equal(e.texts, texts) })
	if i < 0 {
		found := &sampler.Breakers{}
		if err := v.each(texts, found.Add); err != nil {
			return nil, err
		}
		c.list = slices.Insert(c.list[:min(len(c.list), kept-1)], 0, entry{texts, found})
		return found, nil
	}
	e := c.list[i]
	copy(c.list[1:], c.list[:i])
	c.list[0] = e
	return e.found, nil
}
