package tokenizer

import (
	"slices"
	"sort"
	"strings"
)

// matcher finds the longest of a set of pieces at the start of a text. The sorted texts are an implicit trie: those that share a
// prefix stand together, and each byte of the text narrows the range by binary search.
type matcher struct {
	texts []string // sorted
	ids   []int32
	first [256]struct{ low, high int32 } // the texts that begin with this byte
}

func newMatcher(x *index, ids []int32) *matcher {
	m := &matcher{ids: ids, texts: make([]string, len(ids))}
	slices.SortFunc(ids, func(a, b int32) int { return strings.Compare(x.piece(a), x.piece(b)) })
	for i, id := range ids {
		text := x.piece(id)
		m.texts[i] = text
		first := &m.first[text[0]]
		if first.high == 0 {
			first.low = int32(i)
		}
		first.high = int32(i) + 1
	}
	return m
}

// longest returns the longest piece that s begins with and its length; the length is 0 if there is none. s is not empty.
func (m *matcher) longest(s string) (id int32, length int) {
	low, high := int(m.first[s[0]].low), int(m.first[s[0]].high)
	for depth := 1; low < high; depth++ { // texts[low:high] all begin with s[:depth]
		if len(m.texts[low]) == depth { // the shortest sorts first
			id, length = m.ids[low], depth
			low++
		}
		if depth == len(s) {
			break
		}
		low, high = m.narrow(low, high, depth, s[depth])
	}
	return id, length
}

// narrow returns the part of texts[low:high], all longer than depth and alike before it, that has c there.
func (m *matcher) narrow(low, high, depth int, c byte) (int, int) {
	if low >= high {
		return 0, 0
	}
	texts := m.texts[low:high]
	switch first, last := texts[0][depth], texts[len(texts)-1][depth]; {
	case c < first || c > last:
		return 0, 0
	case first == last: // as in runs of spaces or newlines
		return low, high
	}
	start := sort.Search(len(texts), func(i int) bool { return texts[i][depth] >= c })
	end := sort.Search(len(texts), func(i int) bool { return texts[i][depth] > c })
	return low + start, low + end
}
