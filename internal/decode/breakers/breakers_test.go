package breakers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// vocabulary takes the longest piece wherever it can, and knows every byte.
func vocabulary(pieces ...string) *Vocabulary {
	for b := range 256 {
		pieces = append(pieces, string([]byte{byte(b)}))
	}
	return &Vocabulary{
		Size: len(pieces),
		Text: func(id int32) string { return pieces[id] },
		Encode: func(text string) (ids []int32) {
			for text != "" {
				best := -1
				for i, p := range pieces {
					if strings.HasPrefix(text, p) && (best < 0 || len(p) > len(pieces[best])) {
						best = i
					}
				}
				ids, text = append(ids, int32(best)), text[len(pieces[best]):]
			}
			return ids
		},
	}
}

// all are the sequences of texts, each once, as text, in an order that does not depend on how they were found.
func all(t interface{ Fatal(...any) }, v *Vocabulary, texts ...string) (list []string) {
	if err := v.each(texts, func(first int32, tail []int32) { list = append(list, fmt.Sprint(append([]int32{first}, tail...))) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestSequences(t *testing.T) {
	v := vocabulary("\nU", "User", "ser", ":", " :", "er", "—x", "nU")
	name := func(s string) int32 { return v.Encode(s)[0] }
	for _, c := range []struct {
		text string
		want [][]int32
	}{
		{":", [][]int32{{name(":")}, {name(" :")}, {7 + int32(':') + 1}}}, // pieces that hold it, the byte among them
		{"U:", [][]int32{{name("\nU"), name(":")}, {name("nU"), name(":")}, {name("U"), name(":")}}},
		{"\nUser:", [][]int32{{name("\nU"), name("ser"), name(":")}, {name("\n"), name("User"), name(":")}}},
		{"—", [][]int32{{name("—x")}, {name("\xe2"), name("\x80"), name("\x94")}}}, // also in bytes
	} {
		var want []string
		for _, s := range c.want {
			want = append(want, fmt.Sprint(s))
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, all(t, v, c.text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

// What is found is what the definition says, looked at token by token and cut by cut.
func TestSequencesEqualPlainSearch(t *testing.T) {
	some := 0
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab\n")), 1, 8, -1)
		v := vocabulary(rapid.SliceOfN(text, 0, 30).Draw(t, "pieces")...)
		texts := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("ab\n")), 1, MaxBytes, -1), 1, 5).Draw(t, "texts")
		var want []string
		for id := range int32(v.Size) {
			for _, text := range texts {
				if strings.Contains(v.Text(id), text) {
					want = append(want, fmt.Sprint([]int32{id}))
					continue
				}
				for k := 1; k < len(text); k++ {
					if strings.HasSuffix(v.Text(id), text[:k]) {
						tail := v.Encode(text[k:])
						want = append(want, fmt.Sprint(append([]int32{id}, tail[:min(len(tail), 20)]...)))
						some++
					}
				}
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(slices.Compact(want), all(t, v, texts...)); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", texts, diff)
		}
	})
	if some == 0 {
		t.Error("no text came in several tokens: the test tries nothing")
	}
}

func TestRefused(t *testing.T) {
	for want, texts := range map[string][]string{
		"want at most 64 texts, found 65":    make([]string, 65),
		"want texts of 1 to 40 bytes":        {"a", ""},
		"want texts of 1 to 40 bytes, found": {strings.Repeat("a", 41)},
		"want UTF-8":                         {"\xff"},
	} {
		if _, err := new(Cache).Find(vocabulary(), texts); err == nil || !strings.HasPrefix(err.Error(), "dry_breakers: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", texts, err, want)
		}
	}
}

// Texts made to begin in as many tokens and ways as they can are refused before they take memory, and soon.
func TestHostileTexts(t *testing.T) {
	var pieces []string
	for i := range 2_000 {
		pieces = append(pieces, fmt.Sprintf("%d%s", i, strings.Repeat("a", 1+i%40)))
	}
	v := vocabulary(pieces...)
	v.Encode = func(text string) []int32 { return make([]int32, len(text)) }
	var texts []string
	for i := range MaxTexts {
		texts = append(texts, strings.Repeat("a", 30)+fmt.Sprintf("%02d", i))
	}
	start, n := time.Now(), 0
	err := v.each(texts, func(int32, []int32) { n++ })
	if err == nil || !strings.Contains(err.Error(), "dry_breakers: want texts that begin in fewer tokens") || n > maxTails {
		t.Errorf("%d sequences, %v: want an error after %d at most", n, err, maxTails)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

// The lists used last are kept, in any order of their texts; an error is not.
func TestCache(t *testing.T) {
	var c Cache
	v := vocabulary("ab")
	looked := 0
	text := v.Text
	v.Text = func(id int32) string { looked++; return text(id) }
	find := func(texts ...string) (found any) {
		t.Helper()
		b, err := c.Find(v, texts)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := find("a", "b")
	if once := looked; find("b", "a", "b") != first || looked != once {
		t.Error("the same texts were looked for again")
	}
	for i := range kept {
		find(fmt.Sprint(i))
		find("a", "b")
	}
	if find("b", "a") != first {
		t.Error("a list in use was forgotten")
	}
	for i := range kept {
		find(fmt.Sprint(i))
	}
	if find("a", "b") == first || len(c.list) != kept {
		t.Errorf("%d lists are kept, want %d", len(c.list), kept)
	}
}
