package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// encoded is a line of encode.jsonl.gz, written by the reference libraries.
type encoded struct {
	Group    string
	Text     string
	IDs      []int32
	PlainIDs []int32 `json:"plain_ids"` // as mere text; nil: as IDs
	SPMIDs   []int32 `json:"spm_ids"`   // of the sentencepiece library; nil: as the plain form
	Pieces   []string
	Decoded  string
}

// parseSmall returns the vocabulary of testdata/tokenizer/small under the given rule.
func parseSmall(t testing.TB, rule ControlRule) *Vocab {
	t.Helper()
	v, err := ParseModel(golden.Read(t, filepath.Join(golden.Dir(t, "tokenizer"), "small", "small.model")))
	if err != nil {
		t.Fatal(err)
	}
	v.Control = rule
	return v
}

func newSmall(t testing.TB, rule ControlRule) *Tokenizer {
	t.Helper()
	tok, err := New(parseSmall(t, rule))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// gemmaJSON returns Gemma's tokenizer.json, whose terms keep it out of the repository, or skips the test.
func gemmaJSON(t testing.TB) []byte {
	t.Helper()
	path := os.Getenv("SYSTEMGEMMA_GEMMA_TOKENIZER")
	if path == "" {
		t.Skip("SYSTEMGEMMA_GEMMA_TOKENIZER is not set: want the path of Gemma 2's tokenizer.json or tokenizer.json.gz")
	}
	return golden.Read(t, path)
}

var gemma struct {
	once  sync.Once
	vocab *Vocab
	tok   *Tokenizer
	err   error
}

func newGemma(t testing.TB) *Tokenizer {
	t.Helper()
	data := gemmaJSON(t)
	gemma.once.Do(func() {
		if gemma.vocab, gemma.err = ParseJSON(data); gemma.err == nil {
			gemma.tok, gemma.err = New(gemma.vocab)
		}
	})
	if gemma.err != nil {
		t.Fatal(gemma.err)
	}
	return gemma.tok
}

func TestGoldenSmall(t *testing.T) {
	tok := newSmall(t, ControlByType) // as the sentencepiece library has it
	n := 0
	for c := range golden.Lines[encoded](t, filepath.Join(golden.Dir(t, "tokenizer"), "small", "encode.jsonl.gz")) {
		n++
		ids := tok.AppendText(nil, c.Text)
		if diff := cmp.Diff(c.IDs, ids, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: AppendText(%q): ids (-want +got):\n%s", c.Group, c.Text, diff)
		}
		if got := tok.Decode(c.IDs); got != c.Decoded {
			t.Errorf("%s: Decode(%v) = %q, want %q", c.Group, c.IDs, got, c.Decoded)
		}
		for i, id := range c.IDs {
			if got := tok.Piece(id); got != c.Pieces[i] {
				t.Errorf("%s: Piece(%d) = %q, want %q", c.Group, id, got, c.Pieces[i])
			}
			if got, ok := tok.ID(c.Pieces[i]); got != id || !ok {
				t.Errorf("%s: ID(%q) = %d, %t, want %d", c.Group, c.Pieces[i], got, ok, id)
			}
		}
	}
	golden.Count(t, n)
}

// The forms that a text may have: where a literal ▁ stands beside spaces, the two reference libraries differ, and either answer is
// right.
func (c *encoded) accepts(got, want []int32) bool {
	return slices.Equal(got, want) || c.SPMIDs != nil && slices.Equal(got, c.SPMIDs)
}

func TestGoldenGemmaEncode(t *testing.T) {
	tok := newGemma(t)
	n, spm := 0, 0
	for c := range golden.Lines[encoded](t, filepath.Join(golden.Dir(t, "tokenizer"), "gemma2", "encode.jsonl.gz")) {
		n++
		if got := tok.AppendSpecial(nil, c.Text); !c.accepts(got, c.IDs) {
			t.Errorf("%s: AppendSpecial(%q) (-want +got):\n%s", c.Group, c.Text, cmp.Diff(c.IDs, got))
		}
		plain := c.PlainIDs
		if plain == nil {
			plain = c.IDs
		}
		got := tok.AppendText(nil, c.Text)
		if !c.accepts(got, plain) {
			t.Errorf("%s: AppendText(%q) (-want +got):\n%s", c.Group, c.Text, cmp.Diff(plain, got))
		}
		if c.SPMIDs != nil && slices.Equal(got, c.SPMIDs) {
			spm++
		}
		if i := slices.IndexFunc(got, tok.IsControl); i >= 0 {
			t.Errorf("%s: AppendText(%q) gives control token %d", c.Group, c.Text, got[i])
		}
		if got := tok.Decode(c.IDs); got != c.Decoded {
			t.Errorf("%s: Decode(%v) = %q, want %q", c.Group, c.IDs, got, c.Decoded)
		}
	}
	golden.Count(t, n)
	t.Logf("%d cases as sentencepiece where the libraries differ", spm)
}

// streamed is a line of stream.jsonl.gz.
type streamed struct {
	Group      string
	IDs        []int32
	EmitEager  []string `json:"emit_eager"`
	FlushEager string   `json:"flush_eager"`
	TextEager  string   `json:"text_eager"`
}

func TestGoldenGemmaStream(t *testing.T) {
	tok := newGemma(t)
	n := 0
	for c := range golden.Lines[streamed](t, filepath.Join(golden.Dir(t, "tokenizer"), "gemma2", "stream.jsonl.gz")) {
		n++
		d := tok.NewDecoder()
		for i, id := range c.IDs {
			if got := d.Add(id); got != c.EmitEager[i] {
				t.Errorf("%s: %v: Add of id %d, %d, gives %q, want %q", c.Group, c.IDs, i, id, got, c.EmitEager[i])
			}
		}
		if got := d.Flush(); got != c.FlushEager {
			t.Errorf("%s: %v: Flush gives %q, want %q", c.Group, c.IDs, got, c.FlushEager)
		}
		if got := tok.Decode(c.IDs); got != c.TextEager {
			t.Errorf("%s: Decode(%v) = %q, want %q", c.Group, c.IDs, got, c.TextEager)
		}
	}
	golden.Count(t, n)
}

// Ids known from the model's documentation.
func TestGoldenGemmaKnownPieces(t *testing.T) {
	tok := newGemma(t)
	want := Roles{BOS: 2, EOS: 1, PAD: 0, UNK: 3, StartOfTurn: 106, EndOfTurn: 107}
	if diff := cmp.Diff(want, tok.Roles()); diff != "" {
		t.Errorf("Roles (-want +got):\n%s", diff)
	}
	if tok.Size() != 256000 {
		t.Errorf("Size() = %d, want 256000", tok.Size())
	}
	for b := range 256 {
		if got := tok.bytes[b]; got != int32(217+b) {
			t.Errorf("byte %d is piece %d, want %d", b, got, 217+b)
		}
	}
	if got := tok.Decode([]int32{226}); got != "\t" { // a tab in tokenizer.json, <0x09> in tokenizer.model
		t.Errorf("Decode(226) = %q, want a tab", got)
	}
	if got := tok.Decode([]int32{30112, 869}); got != " expenditureog" {
		t.Errorf("Decode(30112, 869) = %q", got)
	}
}

// gemmaOrNil is newGemma for tests that have something to do without it.
func gemmaOrNil(t testing.TB) *Tokenizer {
	t.Helper()
	if os.Getenv("SYSTEMGEMMA_GEMMA_TOKENIZER") == "" {
		t.Log("SYSTEMGEMMA_GEMMA_TOKENIZER is not set: without Gemma's tokenizer")
		return nil
	}
	return newGemma(t)
}
