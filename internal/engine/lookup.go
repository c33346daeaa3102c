package engine

// Lookup guesses that what followed the last tokens before will follow them again: prompt lookup, which pays where an answer
// repeats its prompt (edits, summaries, code). It is used by one request.
type Lookup struct {
	text  []int32        // the prediction, then prompt and answer as far as indexed
	own   int            // where the prompt begins in text
	after map[gram]int32 // where text goes on after the last place of some tokens
}

// gram is three tokens in a row, or two after -1.
type gram [3]int32

// NewLookup returns a drafter for one request. prediction, which may be nil, is a text that the answer may resemble.
func NewLookup(prediction []int32) *Lookup {
	l := &Lookup{after: map[gram]int32{}}
	l.extend(prediction)
	l.own = len(l.text)
	return l
}

// extend appends ids to the text. A gram is indexed once a token follows it, so that the end of the text never finds itself.
func (l *Lookup) extend(ids []int32) {
	for _, id := range ids {
		for _, g := range l.grams() {
			l.after[g] = int32(len(l.text))
		}
		l.text = append(l.text, id)
	}
}

// grams are the last tokens of the text that can be looked up, the longer one first. They do not reach from the prompt into
// the prediction.
func (l *Lookup) grams() []gram {
	end := l.text[l.own:]
	n := len(end)
	switch {
	case n < 2:
		return nil
	case n == 2:
		return []gram{{-1, end[0], end[1]}}
	}
	return []gram{{end[n-3], end[n-2], end[n-1]}, {-1, end[n-2], end[n-1]}}
}

// Draft implements Drafter.
func (l *Lookup) Draft(dst, ids []int32, n int) []int32 {
	l.extend(ids[len(l.text)-l.own:])
	for _, g := range l.grams() {
		if at, ok := l.after[g]; ok {
			return append(dst, l.text[at:min(len(l.text), int(at)+n)]...)
		}
	}
	return dst
}
