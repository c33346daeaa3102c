package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unsafe"
)

const megabyte = 1_000_000

func fill(unit string) string { return strings.Repeat(unit, megabyte/len(unit)+1)[:megabyte] }

func randomBytes(n int) string {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b) // never fails
	return string(b)
}

// Whatever a megabyte is made of, the merge queue sees at most 40 steps a byte. They are counted, as a clock on a busy machine
// proves nothing; the times are printed. A run of one symbol is the worst: each merge adds two candidates.
func TestMergeStepsAreLinear(t *testing.T) {
	for name, tok := range map[string]*Tokenizer{
		"small": newSmall(t, ControlByRole),
		"gemma": gemmaOrNil(t),
	} {
		if tok == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, text := range []struct{ name, text string }{
				{"one letter", fill("a")},
				{"two letters", fill("ab")},
				{"one word", fill("the")},
				{"no space", fill("thequickbrownfoxjumpsoverthelazydog")},
				{"spaces", fill(" ")},
				{"newlines", fill("\n")},
				{"tabs", fill("\t")},
				{"literal ▁", fill("▁")},
				{"ideographs", fill("漢字")},
				{"nearly a marker", fill("<start_of_turn")},
				{"markers", fill("<end_of_turn>")},
				{"nearly user-defined", fill("</blockquote")},
				{"open brackets", fill("<")},
				{"random bytes", randomBytes(megabyte)},
				{"bytes 0xFF", fill("\xff")},
				{"half characters", fill("\xe6\xbc")},
			} {
				checkWork(t, tok, text.name, text.text)
			}
		})
	}
	t.Run("doubles", func(t *testing.T) { checkWork(t, newTok(t, doubles()...), "one letter", fill("a")) })
}

// checkWork encodes a megabyte and checks the steps, the memory and, loosely, the time that it took.
func checkWork(t *testing.T, tok *Tokenizer, name, text string) {
	t.Helper()
	w := new(workspace)
	start := time.Now()
	ids := tok.appendRuns(nil, strings.ReplaceAll(text, "▁", " "), tok.plain, w)
	took := time.Since(start)
	perByte := float64(w.steps) / megabyte
	memory := w.bytes()
	t.Logf("%-20s %7d ids, %5.2f steps a byte, workspace %5.1f MB, %v", name, len(ids), perByte, float64(memory)/1e6, took.Round(time.Millisecond))
	if perByte > 40 {
		t.Errorf("%s: %.1f steps a byte, want at most 40", name, perByte)
	}
	if memory > 100*megabyte {
		t.Errorf("%s: the workspace has %d bytes, want at most 100 a byte", name, memory)
	}
	if took > time.Minute { // a third of a second where nothing else runs; this is to catch a square
		t.Errorf("%s: took %v", name, took)
	}
}

// bytes returns the memory of w: 36 bytes a symbol, and append grows by more than it needs.
func (w *workspace) bytes() int {
	return cap(w.symbols)*int(unsafe.Sizeof(symbol{})) + cap(w.queue)*int(unsafe.Sizeof(candidate(0)))
}

// doubles are a, aa, aaaa ... 256 letters: a run of one letter goes through eight levels of merging.
func doubles() (pieces []Piece) {
	for n := 1; n <= maxPieceBytes; n *= 2 {
		pieces = append(pieces, Piece{strings.Repeat("a", n), float32(-n), Normal})
	}
	return pieces
}

// A run too long to merge as one is cut, and its text stays whole.
func TestEndlessRunIsCut(t *testing.T) {
	tok := newTok(t, doubles()...)
	text := strings.Repeat("a", maxRun+7)
	w := new(workspace)
	ids := tok.appendRuns(nil, text, tok.plain, w)
	if got := tok.Decode(ids); got != text {
		t.Errorf("%d letters a come back as %d bytes", len(text), len(got))
	}
	if len(w.symbols) > maxRun || w.bytes() > 100*maxRun {
		t.Errorf("workspace of %d symbols and %d candidates, want at most maxRun = %d symbols", cap(w.symbols), cap(w.queue), maxRun)
	}
}

// A call with a long run does not make later calls hold its memory.
func TestLargeWorkspaceIsNotKept(t *testing.T) {
	tok := newTok(t, doubles()...)
	tok.AppendText(nil, strings.Repeat("a", 2*keepSymbols))
	for range 100 {
		if w := workspaces.Get().(*workspace); cap(w.symbols) > keepSymbols {
			t.Fatalf("a workspace of %d symbols was kept, want at most %d", cap(w.symbols), keepSymbols)
		}
	}
}

// User-defined pieces that share a long prefix with the text, and never match, cost their length at each byte at most.
func TestLongUserDefinedPieces(t *testing.T) {
	long := strings.Repeat("a", maxPieceBytes-1) + "b"
	tok := newTok(t, Piece{long, 0, UserDefined}, Piece{"a", 0, Normal})
	text := strings.Repeat("a", 200_000)
	start := time.Now()
	ids := tok.AppendText(nil, text)
	t.Logf("%d bytes in %v", len(text), time.Since(start).Round(time.Millisecond))
	if len(ids) != len(text) {
		t.Errorf("%d ids, want %d", len(ids), len(text))
	}
	if ids := tok.AppendText(nil, "a"+long); len(ids) != 2 || ids[1] != 257 {
		t.Errorf("a and the long piece: %v, want it matched", ids)
	}
}
