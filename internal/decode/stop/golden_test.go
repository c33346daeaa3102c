package stop_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/decode/stop"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// endTokens are Gemma 2's <eos> and <end_of_turn>.
var endTokens = []int32{1, 107}

type stopCase struct {
	Group       string
	IDs         []int32
	StopStrings []string `json:"stop_strings"`
	Pieces      []string // in this package's copy only, and Last
	Last        string

	outcome
}

// outcome is what a client sees of an answer.
type outcome struct {
	Emit         []string
	Flush        string
	Text         string
	FinishReason string `json:"finish_reason"`
	Stop         string
	TokensUsed   int `json:"tokens_used"`
}

// Every case gives the same pieces, text, reason and stop string. With SYSTEMGEMMA_GEMMA_TOKENIZER (Gemma 2's tokenizer.json
// or .json.gz) ids are decoded by the real tokenizer; without, the package's own cases carry the pieces.
func TestGoldenStopping(t *testing.T) {
	n, tok := 0, openGemma(t)
	for c := range golden.Lines[stopCase](t, filepath.Join(golden.Dir(t, "stopping"), "cases.jsonl")) {
		pieces, last := c.Pieces, c.Last
		switch {
		case tok != nil:
			d := tok.NewDecoder()
			pieces = nil
			for _, id := range c.IDs {
				if slices.Contains(endTokens, id) {
					break
				}
				pieces = append(pieces, d.Add(id))
			}
			last = d.Flush()
		case pieces == nil:
			t.Skip("these cases need SYSTEMGEMMA_GEMMA_TOKENIZER")
		}
		got := drive(t, c, pieces, last)
		if diff := cmp.Diff(c.outcome, got); diff != "" {
			t.Errorf("case %d (%s), stops %q, pieces %q (-want +got):\n%s", n, c.Group, c.StopStrings, pieces, diff)
		}
		n++
	}
	golden.Count(t, n)
}

// drive is the loop that a caller writes around a Matcher.
func drive(t *testing.T, c stopCase, pieces []string, last string) (o outcome) {
	m, err := stop.New(c.StopStrings)
	if err != nil {
		t.Fatal(err)
	}
	o.FinishReason = "length"
	defer func() { o.Stop, o.Text = m.Found(), strings.Join(o.Emit, "")+o.Flush }()
	for k, id := range c.IDs {
		o.TokensUsed = k + 1
		if slices.Contains(endTokens, id) {
			emit, stopped := m.Add(last)
			if !stopped {
				emit += m.Flush()
			}
			o.Emit, o.FinishReason = append(o.Emit, emit), "stop"
			return o
		}
		emit, stopped := m.Add(pieces[k])
		o.Emit = append(o.Emit, emit)
		if stopped {
			o.FinishReason = "stop"
			return o
		}
	}
	emit, stopped := m.Add(last)
	if stopped {
		o.FinishReason = "stop"
	}
	o.Flush = emit + m.Flush()
	return o
}

// openGemma opens the real tokenizer, or returns nil when the variable is not set.
func openGemma(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	path := os.Getenv("SYSTEMGEMMA_GEMMA_TOKENIZER")
	if path == "" {
		return nil
	}
	v, err := tokenizer.ParseJSON(golden.Read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}
