package sampler

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// punished is what dry should find, by its definition: for each token the longest end of ids that stands directly before an earlier one, not
// reaching past the last breaker, if it is long enough and the token is no breaker by itself.
func punished(ids []int32, allowed int, sequences [][]int32) map[int32]int32 {
	limit := len(ids)
	for i := len(ids) - 1; i >= 0 && limit == len(ids); i-- {
		longest := 0
		for _, s := range sequences {
			if len(s) <= len(ids)-i && slices.Equal(s, ids[i:i+len(s)]) {
				longest = max(longest, len(s))
			}
		}
		if longest > 0 {
			limit = len(ids) - i - longest
		}
	}
	want := map[int32]int32{}
	for end := 1; end < len(ids); end++ { // ids[end] follows ids[:end]
		n := 0
		for n < end && ids[end-1-n] == ids[len(ids)-1-n] {
			n++
		}
		n = min(n, limit)
		single := slices.ContainsFunc(sequences, func(s []int32) bool { return len(s) == 1 && s[0] == ids[end] })
		if n >= allowed && len(ids) > allowed && !single {
			want[ids[end]] = max(want[ids[end]], int32(n))
		}
	}
	return want
}

// dry finds what its definition says, at every length of a history that grows, whatever the breakers and the window.
func TestDRYEqualsPlainSearch(t *testing.T) {
	broken, reached := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.Int32Range(0, 3)
		ids := rapid.SliceOfN(token, 0, 60).Draw(t, "ids")
		sequences := rapid.SliceOfN(rapid.SliceOfN(token, 1, 5), 0, 4).Draw(t, "breakers")
		p := Params{DRYMultiplier: 1, DRYAllowedLength: rapid.IntRange(1, 3).Draw(t, "allowed"), DRYWindow: rapid.IntRange(0, 70).Draw(t, "window")}
		if len(sequences) > 0 {
			p.DRYBreakers = &Breakers{}
			for _, s := range sequences {
				p.DRYBreakers.Add(s[0], s[1:])
			}
		}
		h := &history{}
		d := newDRY(&p, h)
		every := rapid.IntRange(1, 7).Draw(t, "every")
		for n, id := range ids {
			h.accept(id)
			if n%every != 0 {
				continue
			}
			d.find()
			window := ids[:n+1]
			if p.DRYWindow > 0 {
				window = window[max(0, len(window)-p.DRYWindow):]
			}
			want := punished(window, p.DRYAllowedLength, sequences)
			if diff := cmp.Diff(want, d.after); diff != "" {
				t.Fatalf("%v, breakers %v (-want +got):\n%s", window, sequences, diff)
			}
			if len(want) > 0 {
				reached++
			}
			if !cmp.Equal(want, punished(window, p.DRYAllowedLength, nil)) {
				broken++
			}
		}
	})
	if broken == 0 || reached == 0 {
		t.Errorf("%d histories with repetitions, %d of them changed by breakers: the test tries nothing", reached, broken)
	}
}

// The longest of the sequences that begin with a token counts, and the token of a sequence of several is punished like any other.
func TestBreakersOfSeveralTokens(t *testing.T) {
	b := &Breakers{}
	b.Add(7, []int32{8})
	b.Add(7, []int32{8, 9})
	b.Add(7, []int32{8, 9, 1, 1})
	ids := []int32{1, 2, 7, 8, 9, 1, 2, 7, 8, 9, 1, 2}
	for _, c := range []struct {
		breakers *Breakers
		want     map[int32]int32
	}{
		{nil, map[int32]int32{7: 7}},      // all of the first seven tokens is a repetition
		{b, map[int32]int32{7: 2}},        // 1, 2 come after 7 8 9
		{alone(7), map[int32]int32{}},     // 7 is never punished
		{alone(9), map[int32]int32{7: 2}}, // the same place, as one token
		{alone(2), map[int32]int32{}},     // nothing comes after the last 2
	} {
		p := Params{DRYMultiplier: 1, DRYAllowedLength: 1, DRYBreakers: c.breakers}
		h := &history{}
		d := newDRY(&p, h)
		for _, id := range ids {
			h.accept(id)
		}
		d.find()
		if diff := cmp.Diff(c.want, d.after); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
