package tokenizer

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// WriteJSON writes v as a Hugging Face tokenizer.json that gives the same ids there: control tokens become special ones, user-defined
// pieces plain added ones, and merges come in the order of the scores. A post-processor adds <bos>, as Gemma's file has it.
//
// Some vocabularies can't be said so, and the error says why: two pieces of one score that both are merged (there the leftmost comes
// first, in a tokenizer.json always one of the two), and a piece whose characters have no pieces of their own.
//
// It takes about 100 MB of memory for Gemma's 256,000 pieces.
func (v *Vocab) WriteJSON(w io.Writer) error {
	r, err := v.resolve()
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	j := jsonWriter{Vocab: v, resolved: r, ids: make(map[string]int32, len(v.Pieces)), out: bufio.NewWriter(w)}
	for id, p := range v.Pieces {
		if other, twice := j.ids[p.Text]; twice {
			return fmt.Errorf("tokenizer: pieces %d and %d are both spelled %s", other, id, quote(p.Text))
		}
		j.ids[p.Text] = int32(id)
	}
	merges, err := j.merges()
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	j.write(merges)
	return j.out.Flush() // reports the first error of all writes
}

// jsonWriter writes one tokenizer.json in parts, so that the text is never in memory whole.
type jsonWriter struct {
	*Vocab
	*resolved
	ids map[string]int32
	out *bufio.Writer
}

// merge joins the first size bytes of a piece with the rest of it.
type merge struct {
	id, size    int32
	place       int64 // when the piece is made
	left, right int   // characters of the two parts
}

// merges lists the pairs in the order in which they are made: by the score of what they make, then, as the reference converter has
// it, by the lengths of left and right part, the longest first. Runs of spaces that SentencePiece matches whole come before all else.
func (j *jsonWriter) merges() ([]merge, error) {
	var list []merge
	order := map[int64]int32{} // which piece has that place in the order of merging
	for i := range j.Pieces {
		id, p := int32(i), &j.Pieces[i]
		if !j.merged(id) || utf8.RuneCountInString(p.Text) == 1 {
			continue
		}
		before, place := len(list), int64(-1)
		if p.Type == Normal {
			place = int64(descending(p.Score))
		}
		for size := range p.Text {
			left, right := p.Text[:size], p.Text[size:]
			switch {
			case size == 0:
			case j.part(left) && j.part(right):
				list = append(list, merge{id, int32(size), place, utf8.RuneCountInString(left), utf8.RuneCountInString(right)})
			case p.Type == Normal && (j.part(left) || j.bare(left)) && (j.part(right) || j.bare(right)):
				return nil, fmt.Errorf("piece %d %s is merged of a character that has no piece: a tokenizer.json can't say so", id, quote(p.Text))
			}
		}
		if p.Type != Normal || len(list) == before {
			continue
		}
		if other, twice := order[place]; twice {
			return nil, fmt.Errorf("pieces %d and %d have one score, %v: a tokenizer.json can't say so", other, id, p.Score)
		}
		order[place] = id
	}
	slices.SortFunc(list, func(a, b merge) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(b.left, a.left), cmp.Compare(b.right, a.right), cmp.Compare(a.id, b.id))
	})
	return list, nil
}

// merged says whether a tokenizer.json has merges that make a piece: the normal ones, and the user-defined ones. Of these only runs
// of spaces need them, which are ▁ by the time that a text has been normalised; all others are matched before.
func (j *jsonWriter) merged(id int32) bool {
	return !j.control[id] && (j.Pieces[id].Type == Normal || j.Pieces[id].Type == UserDefined)
}

func (j *jsonWriter) part(text string) bool {
	id, ok := j.ids[text]
	return ok && j.merged(id)
}

// bare says whether text is a character without a piece, which SentencePiece merges all the same.
func (j *jsonWriter) bare(text string) bool {
	_, ok := j.ids[text]
	return !ok && utf8.RuneCountInString(text) == 1
}

func (j *jsonWriter) write(merges []merge) {
	j.string(`{"version":"1.0","truncation":null,"padding":null,"added_tokens":[`)
	j.addedTokens()
	j.string(`],"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},` +
		`"pre_tokenizer":{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false},"post_processor":`)
	j.postProcessor()
	j.string(`,"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},` +
		`{"type":"ByteFallback"},{"type":"Fuse"}]},"model":{"type":"BPE","dropout":null,"unk_token":`)
	if unk := j.roles.UNK; unk >= 0 {
		j.value(j.Pieces[unk].Text)
	} else {
		j.string("null")
	}
	j.string(`,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"ignore_merges":false,"vocab":{`)
	for id, p := range j.Pieces {
		j.comma(id)
		j.value(p.Text)
		j.string(fmt.Sprintf(":%d", id))
	}
	j.string(`},"merges":[`)
	for i, m := range merges {
		text := j.Pieces[m.id].Text
		j.comma(i)
		j.value(text[:m.size] + " " + text[m.size:])
	}
	j.string("]}}\n")
}

func (j *jsonWriter) addedTokens() {
	n := 0
	for id, p := range j.Pieces {
		special := j.control[id] || p.Type == Unknown
		if !special && p.Type != UserDefined {
			continue
		}
		j.comma(n)
		n++
		j.value(addedToken{ID: int32(id), Content: p.Text, Special: special})
	}
}

// postProcessor puts <bos> before a text.
func (j *jsonWriter) postProcessor() {
	if j.roles.BOS < 0 {
		j.string("null")
		return
	}
	text, _ := json.Marshal(j.Pieces[j.roles.BOS].Text) // a string can't fail
	bos := fmt.Sprintf(`{"SpecialToken":{"id":%s,"type_id":`, text)
	sequence := func(id string, typ int) string {
		return fmt.Sprintf(`%s%d}},{"Sequence":{"id":"%s","type_id":%d}}`, bos, typ, id, typ)
	}
	j.string(fmt.Sprintf(`{"type":"TemplateProcessing","single":[%s],"pair":[%s,%s],"special_tokens":{%s:{"id":%s,"ids":[%d],"tokens":[%s]}}}`,
		sequence("A", 0), sequence("A", 0), sequence("B", 1), text, text, j.roles.BOS, text))
}

func (j *jsonWriter) comma(n int) {
	if n > 0 {
		j.string(",")
	}
}

// string and value leave errors to the last Flush, which reports the first.
func (j *jsonWriter) string(s string) { _, _ = j.out.WriteString(s) }

func (j *jsonWriter) value(v any) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(errors.Join(errors.New("tokenizer: marshal"), err)) // strings and a struct of them can't fail
	}
	j.string(strings.TrimSuffix(b.String(), "\n"))
}
