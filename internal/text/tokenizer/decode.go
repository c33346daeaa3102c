package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Decode returns the text of ids, control tokens as they are spelled. It equals what a Decoder with KeepControl gives id by id:
// always valid UTF-8, with one U+FFFD for each byte that is part of no character and for each id out of range.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	d := Decoder{KeepControl: true, t: t}
	for _, id := range ids {
		b.WriteString(d.Add(id))
	}
	b.WriteString(d.Flush())
	return b.String()
}

// Text returns what id alone adds to a text: its piece with spaces for ▁, or the one byte of a byte piece, which need not be UTF-8;
// a control token as it is spelled; "" for an id out of range. It allocates nothing.
func (t *Tokenizer) Text(id int32) string {
	if !t.valid(id) {
		return ""
	}
	text := t.index.piece(id)
	if b, ok := parseByte(text); ok && t.bytes[b] == id {
		return everyByte[b:][:1]
	}
	return text
}

// everyByte holds byte b at index b, so that a byte piece's text is a part of it.
var everyByte = func() string {
	var b [256]byte
	for i := range b {
		b[i] = byte(i)
	}
	return string(b[:])
}()

// Decoder turns ids into text as they arrive. What it returns is always valid UTF-8: the bytes of a character wait until the last
// one is there. A byte that can no longer be part of a character becomes one U+FFFD at once.
type Decoder struct {
	KeepControl bool // give the spelling of control tokens, not nothing

	t       *Tokenizer
	waiting [utf8.UTFMax]byte
	n       int // bytes waiting, at most 3 between calls
}

// NewDecoder returns a Decoder at the start of a text. Each text needs its own.
func (t *Tokenizer) NewDecoder() *Decoder { return &Decoder{t: t} }

// Add returns the text that can leave now that id has arrived, "" if it must wait. It allocates only when bytes make a text.
func (d *Decoder) Add(id int32) string {
	text := d.t.Text(id)
	switch {
	case !d.t.valid(id):
		text = "\uFFFD"
	case d.t.control[id] && !d.KeepControl:
		text = ""
	case len(text) == 1 && text[0] >= utf8.RuneSelf: // a byte piece, as other pieces are UTF-8
		return d.addByte(text[0])
	}
	if d.n == 0 {
		return text
	}
	return d.Flush() + text
}

// Flush returns what still waits, one U+FFFD for each byte, at the end of the ids. The Decoder is then as new.
func (d *Decoder) Flush() string {
	text := "\uFFFD\uFFFD\uFFFD"[:d.n*len("\uFFFD")]
	d.n = 0
	return text
}

// addByte returns the characters that b completes and U+FFFD for the bytes it shows to be part of none.
func (d *Decoder) addByte(b byte) string {
	d.waiting[d.n] = b
	d.n++
	var out [utf8.UTFMax * utf8.UTFMax]byte
	text := out[:0]
	for utf8.FullRune(d.waiting[:d.n]) {
		r, size := utf8.DecodeRune(d.waiting[:d.n]) // U+FFFD of size 1 for a byte that begins no character
		text = utf8.AppendRune(text, r)
		d.n = copy(d.waiting[:], d.waiting[size:d.n])
	}
	return string(text)
}
