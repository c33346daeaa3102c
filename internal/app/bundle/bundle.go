// Package bundle makes one executable of this program and a model, and finds the model again when that executable runs.
//
// It owns the form: where the model lies (at a multiple of 64 KiB, so that it is mapped and not copied), the card that says what it
// is called and with which system prompt it answers, and the trailer that leads to both. Programs of linux and windows have them
// appended; those of darwin get a segment of their own before __LINKEDIT, and an ad-hoc signature made anew.
//
// It must not know what is in a model, nor how it is run.
package bundle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
)

// align divides the place of the model, as the library wants it of sections of a file.
const align = 64 << 10

// The trailer is the end of the file; in a program of darwin, the end of its segment. Numbers are little-endian.
//
//	 0  16 bytes  magic
//	16  uint32    version of this form: 1
//	20  uint32    bytes of the card, JSON, which lies right before the trailer
//	24  uint64    where the model begins in the file
//	32  uint64    its bytes
//	40  uint32    CRC-32C of the card
//	44  16 bytes  0
//	60  uint32    CRC-32C of the 60 bytes before
const (
	trailerSize = 64
	version     = 1
	maxCard     = 1 << 20 // bytes
)

// magic is a variable, so that a program that knows bundles has these bytes in its data, where OpenProgram looks for them.
var magic = []byte("SYSTEMGEMMA-BNDL")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Card says what a bundle's model is called, the system prompt that it answers with unless it is given another one, and how it
// renders system prompts ("": as the model's file says).
type Card struct {
	Name       string `json:"name"`
	System     string `json:"system,omitempty"`
	SystemMode string `json:"system_mode,omitempty"`
}

// Bundle is a program with a model in it.
type Bundle struct {
	Path         string // of the program
	Offset, Size int64  // of the model
	Card         Card
}

// trailer is what leads to model and card.
type trailer struct {
	card         uint32
	offset, size uint64
	cardSum      uint32
}

func (t *trailer) encode() []byte {
	b := make([]byte, 0, trailerSize)
	b = append(b, magic...)
	le := binary.LittleEndian
	b = le.AppendUint32(b, version)
	b = le.AppendUint32(b, t.card)
	b = le.AppendUint64(b, t.offset)
	b = le.AppendUint64(b, t.size)
	b = le.AppendUint32(b, t.cardSum)
	b = append(b, make([]byte, 16)...)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Find returns the model of the program at path, nil if it has none. It reads a few hundred bytes.
func Find(path string) (*Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := find(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: model inside: %w; get the program again", path, err)
	}
	if b != nil {
		b.Path = path
	}
	return b, nil
}

// find looks at a program of that size.
func find(r io.ReaderAt, size int64) (*Bundle, error) {
	end, err := bundleEnd(r, size)
	if err != nil || end < trailerSize {
		return nil, nil // no segment of ours, or no program: nothing is inside
	}
	at := end - trailerSize
	raw := make([]byte, trailerSize)
	if _, err := r.ReadAt(raw, at); err != nil {
		return nil, err
	}
	if !bytes.Equal(raw[:len(magic)], magic) {
		return nil, cut(r, size)
	}
	t, err := parseTrailer(raw, at)
	if err != nil {
		return nil, err
	}
	text := make([]byte, t.card)
	if _, err := r.ReadAt(text, at-int64(t.card)); err != nil {
		return nil, err
	}
	if got := crc32.Checksum(text, castagnoli); got != t.cardSum {
		return nil, fmt.Errorf("card: want CRC-32C %08x, found %08x", t.cardSum, got)
	}
	b := &Bundle{Offset: int64(t.offset), Size: int64(t.size)}
	if err := json.Unmarshal(text, &b.Card); err != nil {
		return nil, fmt.Errorf("card: %w", err)
	}
	return b, nil
}

// parseTrailer reads the trailer that lies at a place.
func parseTrailer(raw []byte, at int64) (t trailer, err error) {
	le := binary.LittleEndian
	if want, got := le.Uint32(raw[60:]), crc32.Checksum(raw[:60], castagnoli); want != got {
		return t, fmt.Errorf("trailer: want CRC-32C %08x, found %08x", want, got)
	}
	if v := le.Uint32(raw[16:]); v != version {
		return t, fmt.Errorf("trailer: want version %d, found %d", version, v)
	}
	t = trailer{le.Uint32(raw[20:]), le.Uint64(raw[24:]), le.Uint64(raw[32:]), le.Uint32(raw[40:])}
	switch room := uint64(at); {
	case t.card > maxCard || uint64(t.card) > room:
		return t, fmt.Errorf("trailer: want a card of at most %d bytes, found %d", min(maxCard, at), t.card)
	case t.offset == 0 || t.offset%align != 0 || t.offset > room-uint64(t.card) || t.size == 0 || t.size > room-uint64(t.card)-t.offset:
		return t, fmt.Errorf("trailer: want a model from a multiple of %d up to byte %d, found %d bytes from %d on", align, room-uint64(t.card), t.size, t.offset)
	}
	return t, nil
}

// bundleEnd is where the trailer of a program ends, if it has one.
func bundleEnd(r io.ReaderAt, size int64) (int64, error) {
	var head [4]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return 0, err
	}
	if binary.LittleEndian.Uint32(head[:]) != machMagic {
		return size, nil
	}
	return machTrailer(r, size)
}

// cut is the error of a program without a trailer that has the beginning of a model where a bundle has it: the end is missing.
func cut(r io.ReaderAt, size int64) error {
	end := programEnd(r)
	if end <= 0 || end > math.MaxInt64-align {
		return nil
	}
	at := (end + align - 1) / align * align
	var head [4]byte
	if at > size-int64(len(head)) {
		return nil
	}
	if _, err := r.ReadAt(head[:], at); err != nil || string(head[:]) != "GGUF" {
		return nil
	}
	return errors.New("its end is missing")
}
