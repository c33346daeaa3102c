package tokenizer

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// maxRun is the longest text merged as one, in bytes. It bounds the memory of an AppendText call at 36 bytes for each of these,
// 36 MiB. Text is cut into runs where no piece could cross, mostly between words, so that only a MiB without any such place is cut
// where a piece might have been.
const maxRun = 1 << 20

// AppendText appends the ids of text as mere text: control tokens that it spells are encoded letter by letter, so that no id for
// which IsControl holds is ever appended. No <bos> is added.
//
// The ids are SentencePiece's for the whole of text. Texts encoded one after the other may give other ids than their concatenation;
// a template's segments are separate texts. A literal ▁ (U+2581) is a space. Each byte that is not UTF-8 becomes its byte piece.
func (t *Tokenizer) AppendText(ids []int32, text string) []int32 {
	return t.encode(ids, text, t.plain)
}

// AppendSpecial is AppendText, but control tokens that the text spells become control tokens. It is for template scaffolding and
// raw prompts; what a user wrote must never come here.
func (t *Tokenizer) AppendSpecial(ids []int32, text string) []int32 {
	return t.encode(ids, text, t.special)
}

// keepSymbols is the size of a workspace that is kept, 36 bytes a symbol: enough for any text but a hostile one.
const keepSymbols = 1 << 15

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

func (t *Tokenizer) encode(ids []int32, text string, m *matcher) []int32 {
	w := workspaces.Get().(*workspace)
	ids = t.appendRuns(ids, strings.ReplaceAll(text, "▁", " "), m, w)
	if cap(w.symbols) <= keepSymbols {
		workspaces.Put(w)
	}
	return ids
}

// appendRuns cuts text, spaces for ▁, at the pieces that m matches and where no piece joins two characters.
func (t *Tokenizer) appendRuns(ids []int32, text string, m *matcher, w *workspace) []int32 {
	start := 0 // of the run
	for i := 0; i < len(text); {
		c := text[i]
		if m.first[c].high > 0 {
			if id, length := m.longest(text[i:]); length > 0 {
				ids = append(t.appendRun(ids, text[start:i], w), id)
				i += length
				start = i
				continue
			}
		}
		if i > start && (!t.join(text[i-1], c) || i-start > maxRun-utf8.UTFMax) {
			ids = t.appendRun(ids, text[start:i], w)
			start = i
		}
		if c < utf8.RuneSelf {
			i++
		} else {
			_, size := utf8.DecodeRuneInString(text[i:])
			i += size
		}
	}
	return t.appendRun(ids, text[start:], w)
}

// join reports whether any piece has a character that ends in byte a right before one that begins with byte b.
func (t *Tokenizer) join(a, b byte) bool {
	return t.joins[a][b>>6]>>(b&63)&1 != 0
}

// appendRun appends the ids of a text without pieces that are matched whole.
func (t *Tokenizer) appendRun(ids []int32, run string, w *workspace) []int32 {
	if run == "" {
		return ids
	}
	whole := t.mergeable(run)
	if whole >= 0 && t.atom(whole) == yes {
		return append(ids, whole)
	}
	before := len(ids)
	w.merge(t, run)
	ids = w.appendIDs(ids, t, run)
	if whole >= 0 && t.atom(whole) == unknown {
		t.setAtom(whole, len(ids) == before+1 && ids[before] == whole)
	}
	return ids
}

// mergeable returns the piece with this text that merging makes, or that is a character; -1 if there is none.
func (t *Tokenizer) mergeable(text string) int32 {
	if id := t.index.find(text); id >= 0 && t.order[id] != never {
		return id
	}
	return -1
}

// Whether merging a piece's own text gives that piece: not every piece can be reached. Most words are one piece, and this saves
// merging them again. It is found out when a text first has the piece as a run; every goroutine finds the same.
const (
	unknown = 0
	yes     = 1
	no      = 2
)

func (t *Tokenizer) atom(id int32) uint32 {
	return t.atoms[id/16].Load() >> (id % 16 * 2) & 3
}

func (t *Tokenizer) setAtom(id int32, is bool) {
	state := uint32(no)
	if is {
		state = yes
	}
	t.atoms[id/16].Or(state << (id % 16 * 2))
}
