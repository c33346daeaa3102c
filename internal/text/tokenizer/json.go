package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ParseJSON reads a Hugging Face tokenizer.json. What it describes must be what Gemma has: BPE with byte fallback, spaces spelled ▁
// and nothing else normalised, merges that are those of a SentencePiece vocabulary. Anything else is refused by name. The
// post-processor, which adds <bos>, and truncation and padding are a caller's business and are not read.
//
// Gemma's 17.5 MB take most of a second; a converted model holds the vocabulary in a form that takes none.
func ParseJSON(data []byte) (*Vocab, error) {
	var f tokenizerJSON
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	v, err := f.vocab()
	if err == nil {
		_, err = v.resolve()
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return v, nil
}

// tokenizerJSON is what matters of the file. Merges stay raw: they have two forms.
type tokenizerJSON struct {
	AddedTokens  []*addedToken `json:"added_tokens"`
	Normalizer   *step         `json:"normalizer"`
	PreTokenizer *step         `json:"pre_tokenizer"`
	Decoder      *step         `json:"decoder"`
	Model        struct {
		Type         string           `json:"type"`
		Dropout      float64          `json:"dropout"`
		UnkToken     string           `json:"unk_token"`
		Prefix       string           `json:"continuing_subword_prefix"`
		Suffix       string           `json:"end_of_word_suffix"`
		ByteFallback bool             `json:"byte_fallback"`
		IgnoreMerges bool             `json:"ignore_merges"`
		Vocab        map[string]int32 `json:"vocab"`
		Merges       json.RawMessage  `json:"merges"`
	} `json:"model"`
}

type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// step is a normalizer, a pre-tokenizer or a decoder.
type step struct {
	Type    string `json:"type"`
	Pattern struct {
		String string
		Regex  string
	} `json:"pattern"`
	Content  string  `json:"content"`
	Behavior string  `json:"behavior"`
	Invert   bool    `json:"invert"`
	Decoders []*step `json:"decoders"`
}

func (s *step) replaces(from, to string) bool {
	return s != nil && s.Type == "Replace" && s.Pattern.String == from && s.Pattern.Regex == "" && s.Content == to
}

// supported reports the first setting that would give other ids than ours.
func (f *tokenizerJSON) supported() error {
	m, pre := &f.Model, f.PreTokenizer
	switch {
	case m.Type != "BPE":
		return fmt.Errorf("model.type: want BPE, found %s", quote(m.Type))
	case !m.ByteFallback:
		return errors.New("model.byte_fallback: want true, found false")
	case m.IgnoreMerges:
		return errors.New("model.ignore_merges: want false, found true")
	case m.Dropout != 0:
		return fmt.Errorf("model.dropout: want none, found %g", m.Dropout)
	case m.Prefix != "" || m.Suffix != "":
		return errors.New("model: want no continuing_subword_prefix and no end_of_word_suffix")
	case !f.Normalizer.replaces(" ", "▁"):
		return fmt.Errorf("normalizer: want Replace of a space by ▁, found %s", f.Normalizer.name())
	case pre != nil && (pre.Type != "Split" || pre.Pattern.String != " " || pre.Pattern.Regex != "" || pre.Invert || pre.Behavior != "MergedWithPrevious"):
		// Splits at spaces, of which the normalizer left none.
		return fmt.Errorf("pre_tokenizer: want none or Split at spaces, MergedWithPrevious, found %s", pre.name())
	case !f.Decoder.isGemma():
		return fmt.Errorf("decoder: want a Sequence of Replace (▁ by a space), ByteFallback and Fuse, found %s", f.Decoder.name())
	}
	return nil
}

func (s *step) isGemma() bool {
	return s != nil && s.Type == "Sequence" && len(s.Decoders) == 3 && s.Decoders[0].replaces("▁", " ") &&
		s.Decoders[1].name() == `"ByteFallback"` && s.Decoders[2].name() == `"Fuse"`
}

func (s *step) name() string {
	if s == nil {
		return "none"
	}
	return quote(s.Type)
}

func (f *tokenizerJSON) vocab() (*Vocab, error) {
	if err := f.supported(); err != nil {
		return nil, fmt.Errorf("%w; this is not a Gemma tokenizer", err)
	}
	pieces, err := f.pieces()
	if err != nil {
		return nil, err
	}
	if err := f.addTokens(pieces); err != nil {
		return nil, err
	}
	merges, err := f.merges()
	if err != nil {
		return nil, err
	}
	if err := f.score(pieces, merges); err != nil {
		return nil, fmt.Errorf("model.merges: %w; this is not a Gemma tokenizer", err)
	}
	return &Vocab{Pieces: pieces, BOS: -1, EOS: -1, PAD: -1, UNK: -1, EndOfTurn: -1}, nil // New knows roles by their spelling
}

// pieces makes a piece of each entry of the vocabulary. Added tokens that it lacks come in too.
func (f *tokenizerJSON) pieces() ([]Piece, error) {
	vocab := f.Model.Vocab
	for _, a := range f.AddedTokens {
		if a == nil {
			return nil, errors.New("added_tokens: want objects, found null")
		}
		if id, ok := vocab[a.Content]; ok && id != a.ID {
			return nil, fmt.Errorf("added_tokens: %s has id %d, in model.vocab %d", quote(a.Content), a.ID, id)
		} else if !ok {
			if vocab == nil {
				return nil, errors.New("model.vocab: want pieces, found none")
			}
			vocab[a.Content] = a.ID
		}
	}
	pieces := make([]Piece, len(vocab))
	for text, id := range vocab {
		if id < 0 || int(id) >= len(pieces) {
			return nil, fmt.Errorf("model.vocab: want ids 0 to %d for %d pieces, found %d for %s", len(pieces)-1, len(pieces), id, quote(text))
		}
		if pieces[id].Type != 0 {
			return nil, fmt.Errorf("model.vocab: id %d is both %s and %s", id, quote(pieces[id].Text), quote(text))
		}
		pieces[id] = Piece{Text: text, Type: Normal}
		if _, ok := parseByte(text); ok {
			pieces[id].Type = Byte
		}
	}
	return pieces, nil
}

func (f *tokenizerJSON) addTokens(pieces []Piece) error {
	for _, a := range f.AddedTokens {
		if a.SingleWord || a.LStrip || a.RStrip || a.Normalized {
			return fmt.Errorf("added_tokens: %s: want single_word, lstrip, rstrip and normalized false, as Gemma has them", quote(a.Content))
		}
		p := &pieces[a.ID]
		p.Text = strings.ReplaceAll(a.Content, " ", "▁") // matched in the text itself, where a space is a space
		switch {
		case !a.Special:
			p.Type = UserDefined
		case a.Content == f.Model.UnkToken:
			p.Type = Unknown
		default:
			p.Type = Control
		}
	}
	return nil
}

// merges returns model.merges as pairs. They are written "a b", by newer libraries ["a", "b"]; the first shows which.
func (f *tokenizerJSON) merges() ([][2]string, error) {
	raw := f.Model.Merges
	first := bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("[")), " \t\r\n")
	if bytes.HasPrefix(first, []byte(`"`)) {
		return joinedMerges(raw)
	}
	var pairs []*[]string // pointers: a megabyte of [] must not take a hundred as the slice grows
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, fmt.Errorf("model.merges: %w", err)
	}
	merges := make([][2]string, len(pairs))
	for i, p := range pairs {
		if p == nil || len(*p) != 2 {
			return nil, fmt.Errorf("model.merges: merge %d: want an array of two pieces", i)
		}
		merges[i] = [2]string(*p)
	}
	return merges, nil
}

func joinedMerges(raw json.RawMessage) ([][2]string, error) {
	var joined []string
	if err := json.Unmarshal(raw, &joined); err != nil {
		return nil, fmt.Errorf("model.merges: %w", err)
	}
	merges := make([][2]string, len(joined))
	for i, s := range joined {
		a, b, _ := strings.Cut(s, " ")
		if a == "" || b == "" || strings.Contains(b, " ") {
			return nil, fmt.Errorf("model.merges: merge %d: want two pieces and a space, found %s", i, quote(s))
		}
		merges[i] = [2]string{a, b}
	}
	return merges, nil
}

// score numbers the pieces downwards in the order that merges make them, which is what a score is.
//
// In a SentencePiece vocabulary any two pieces merge that together make a piece, and when depends on that piece alone. So here the
// merges of one piece must stand together, and none may be missing. Pieces that are not of type normal do not count: merging never
// meets them.
func (f *tokenizerJSON) score(pieces []Piece, merges [][2]string) error {
	vocab := f.Model.Vocab
	last, made, found := int32(-1), 0, 0
	for i, m := range merges {
		a, okA := vocab[m[0]]
		b, okB := vocab[m[1]]
		id, ok := vocab[m[0]+m[1]]
		if !ok || !okA || !okB {
			return fmt.Errorf("merge %d, %s and %s: want pieces of model.vocab", i, quote(m[0]), quote(m[1]))
		}
		if pieces[id].Type != Normal || pieces[a].Type != Normal || pieces[b].Type != Normal {
			continue
		}
		found++
		if id == last {
			continue
		}
		if pieces[id].Score != 0 {
			return fmt.Errorf("merge %d makes %s, as did merges before the last", i, quote(pieces[id].Text))
		}
		made++
		pieces[id].Score = -float32(made) // exact, as at most 2^24 pieces are valid
		last = id
	}
	if want := f.splits(pieces); found != want {
		return fmt.Errorf("want the %d that make a piece of two, found %d", want, found)
	}
	return nil
}

// splits counts in how many ways the pieces are two others. A character counts as one even if the vocabulary lacks it.
func (f *tokenizerJSON) splits(pieces []Piece) (n int) {
	isPiece := func(text string) bool {
		id, ok := f.Model.Vocab[text]
		return ok && pieces[id].Type == Normal || !ok && utf8.RuneCountInString(text) == 1
	}
	for _, p := range pieces {
		if p.Type != Normal {
			continue
		}
		for i := range p.Text {
			if i > 0 && isPiece(p.Text[:i]) && isPiece(p.Text[i:]) {
				n++
			}
		}
	}
	return n
}
