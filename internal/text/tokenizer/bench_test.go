package tokenizer

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// goldenText joins the texts of one group of the golden set, repeated to about a megabyte.
func goldenText(b *testing.B, group string) string {
	var text strings.Builder
	for c := range golden.Lines[encoded](b, filepath.Join(golden.Dir(b, "tokenizer"), "gemma2", "encode.jsonl.gz")) {
		if c.Group == group {
			text.WriteString(c.Text)
			text.WriteByte('\n')
		}
	}
	if text.Len() == 0 {
		b.Fatalf("golden set has no group %s", group)
	}
	return strings.Repeat(text.String(), 1+1<<20/text.Len())
}

func BenchmarkAppendText(b *testing.B) {
	tok := newGemma(b)
	for _, group := range []string{"english", "code", "languages", "html", "whitespace", "digits", "emoji", "random"} {
		b.Run("text="+group, func(b *testing.B) {
			text := goldenText(b, group)
			ids := tok.AppendText(nil, text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				ids = tok.AppendText(ids[:0], text)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	newGemma(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(gemma.vocab); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseJSON(b *testing.B) {
	data := gemmaJSON(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	tok := newGemma(b)
	ids := tok.AppendText(nil, goldenText(b, "english"))
	b.SetBytes(int64(len(tok.Decode(ids))))
	b.ReportAllocs()
	for b.Loop() {
		tok.Decode(ids)
	}
}
