package healing

import (
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

var pieces = []string{"", "http", ":", "://", "//", "h", "t", "p", "https", "a", "\xc3", "http://w"}

func vocabulary() *Vocabulary {
	return &Vocabulary{Size: len(pieces), Piece: func(id int32) string { return pieces[id] }}
}

func TestTakeBack(t *testing.T) {
	for _, c := range []struct {
		ids  []int32
		n    int
		text string
	}{
		{[]int32{9, 9, 2}, 1, ":"},          // ://
		{[]int32{9, 1, 2}, 2, "http:"},      // http://w
		{[]int32{1, 2}, 1, ":"},             // the first token stays
		{[]int32{9, 0, 2}, 1, ":"},          // no token beyond one that is no text
		{[]int32{9, 9}, 0, ""},              // nothing goes on with a
		{[]int32{9, 10}, 0, ""},             // a part of a character stays
		{[]int32{9, 5, 6, 6, 7}, 4, "http"}, // https
		{nil, 0, ""},
	} {
		if n, text := vocabulary().TakeBack(c.ids); n != c.n || text != c.text {
			t.Errorf("%v: %d, %q, want %d, %q", c.ids, n, text, c.n, c.text)
		}
	}
}

// The first tokens spell the text, whatever the model likes; then it is free.
func TestSpelling(t *testing.T) {
	inner, err := sampler.New(sampler.Params{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(inner, vocabulary(), 1, "http:")
	s.Accept(9)
	logits := make([]float32, len(pieces))
	logits[9], logits[5], logits[8], logits[3] = 9, 8, 7, 6 // a is the best, but may not come; https neither
	var got []int32
	for range 6 {
		id, _, err := s.Sample(logits)
		if err != nil {
			t.Fatal(err)
		}
		s.Accept(id)
		got = append(got, id)
		logits[6], logits[7] = 5, 4
	}
	if want := []int32{5, 6, 6, 7, 3, 9}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
