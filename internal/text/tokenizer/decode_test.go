package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// add returns what each id and the end give.
func add(d *Decoder, ids ...int32) (emitted []string) {
	for _, id := range ids {
		emitted = append(emitted, d.Add(id))
	}
	return append(emitted, d.Flush())
}

// Ids up to 255 are the bytes. The rule is that of golden/tokenizer: eager.
func TestDecoderEmitsCharactersAsTheyEnd(t *testing.T) {
	tok := newTok(t, Piece{"▁and", 0, Normal}, Piece{"<bos>", 0, Control})
	const and, bos = 257, 258
	for _, c := range []struct {
		name string
		ids  []int32
		want []string // one for each id, then the flush
	}{
		{"euro sign", []int32{0xE2, 0x82, 0xAC}, []string{"", "", "€", ""}},
		{"four bytes", []int32{0xF0, 0x9F, 0x98, 0x80}, []string{"", "", "", "😀", ""}},
		{"cut off", []int32{0xE2, 0x82}, []string{"", "", "��"}},
		{"three of four", []int32{0xF0, 0x9F, 0x98}, []string{"", "", "", "���"}},
		{"cut by a piece", []int32{0xE2, 0x82, and}, []string{"", "", "�� and", ""}},
		{"cut by ASCII", []int32{0xE2, 'a'}, []string{"", "�a", ""}},
		{"cut by a control token", []int32{0xE2, bos, 'a'}, []string{"", "�", "a", ""}},
		{"control token", []int32{bos, 'a', bos}, []string{"", "a", "", ""}},
		{"stray continuation", []int32{0x82, 'a'}, []string{"�", "a", ""}},
		{"lead after lead", []int32{0xE2, 0xE2, 0x82, 0xAC}, []string{"", "�", "", "€", ""}},
		{"overlong", []int32{0xC0, 0x80}, []string{"�", "�", ""}},
		{"overlong of three", []int32{0xE0, 0x80, 0x80}, []string{"", "��", "�", ""}},
		{"surrogate", []int32{0xED, 0xA0, 0x80}, []string{"", "��", "�", ""}},
		{"too large", []int32{0xF4, 0x90, 'a'}, []string{"", "��", "a", ""}},
		{"out of range", []int32{0xE2, 259, -1, 1 << 30}, []string{"", "��", "�", "�", ""}},
		{"NUL", []int32{0}, []string{"\x00", ""}},
		{"0xFF", []int32{0xFF}, []string{"�", ""}},
		{"nothing", nil, []string{""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := tok.NewDecoder()
			for range 2 { // Flush leaves it as new
				if diff := cmp.Diff(c.want, add(d, c.ids...)); diff != "" {
					t.Errorf("ids %v: emitted (-want +got):\n%s", c.ids, diff)
				}
			}
		})
	}
}

func TestDecoderKeepsControlWhenAsked(t *testing.T) {
	tok := newSmall(t, ControlByRole)
	ids := []int32{2, 106, 107, 1}
	d := tok.NewDecoder()
	if got := strings.Join(add(d, ids...), ""); got != "" {
		t.Errorf("control tokens give %q, want no text", got)
	}
	d.KeepControl = true
	const want = "<bos><start_of_turn><end_of_turn><eos>"
	if got := strings.Join(add(d, ids...), ""); got != want {
		t.Errorf("with KeepControl control tokens give %q, want %q", got, want)
	}
	if got := tok.Decode(ids); got != want {
		t.Errorf("Decode(%v) = %q, want %q", ids, got, want)
	}
}

// The bytes of the tokens one by one, put together and made valid, are the text: what a stream shows is what the whole decodes to.
func TestStreamEqualsWhole(t *testing.T) {
	tok := newSmall(t, ControlByRole)
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOf(rapid.OneOf(rapid.Int32Range(138, 393), rapid.Int32Range(-2, 1202))).Draw(t, "ids") // bytes; any
		d := tok.NewDecoder()
		d.KeepControl = true
		emitted := add(d, ids...)
		for i, s := range emitted {
			if !utf8.ValidString(s) {
				t.Fatalf("ids %v: %d: emitted %q, want UTF-8", ids, i, s)
			}
		}
		want := ""
		for _, part := range splitAtPieces(tok, ids) {
			want += string([]rune(part))
		}
		if got := strings.Join(emitted, ""); got != want {
			t.Fatalf("ids %v: stream is %q, want %q", ids, got, want)
		}
		if got := tok.Decode(ids); got != want {
			t.Fatalf("Decode(%v) = %q, want %q", ids, got, want)
		}
	})
}

// splitAtPieces returns the texts of runs of byte pieces and of the pieces between: no character spans two of these.
func splitAtPieces(tok *Tokenizer, ids []int32) (parts []string) {
	inBytes := false
	for _, id := range ids {
		text := tok.Text(id)
		if !tok.valid(id) {
			text = "\uFFFD"
		}
		isByte := id >= 138 && id <= 393
		if isByte && inBytes {
			parts[len(parts)-1] += text
		} else {
			parts = append(parts, text)
		}
		inBytes = isByte
	}
	return parts
}

func TestTextOfBytePieces(t *testing.T) {
	tok := newTok(t, Piece{"<0x41>▁", 0, Normal}, Piece{"▁a", 0, Normal})
	for b := range 256 {
		if got := tok.Text(int32(b)); got != string([]byte{byte(b)}) {
			t.Errorf("Text(%d) = %q, want the byte", b, got)
		}
	}
	for id, want := range map[int32]string{256: " ", 257: "<0x41> ", 258: " a", 259: "", -1: ""} {
		if got := tok.Text(id); got != want {
			t.Errorf("Text(%d) = %q, want %q", id, got, want)
		}
	}
}

// Only characters put together from bytes need memory.
func TestDecoderAllocatesNothing(t *testing.T) {
	tok := newSmall(t, ControlByRole)
	ids := tok.AppendText(nil, "the year must have three\n\n  ends <td>")
	ids = append(ids, 2, 107)
	if slices.ContainsFunc(ids, func(id int32) bool { return len(tok.Text(id)) == 0 }) {
		t.Fatalf("ids %v: want text for each", ids)
	}
	d := tok.NewDecoder()
	if n := testing.AllocsPerRun(100, func() {
		for _, id := range ids {
			d.Add(id)
		}
		d.Flush()
	}); n != 0 {
		t.Errorf("decoding %d ids allocates %g times, want 0", len(ids), n)
	}
}
