package stream

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"os"
)

// A journal is a line with the identity of the stream, then lines "file offset state CRC-32C": of the hash after that many bytes. The
// last offset of a file is its size: all of it came, and its hash was right.
const (
	journalMagic = "systemgemma stream 1 "
	maxJournal   = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type journal struct {
	f      *os.File
	states map[int]map[int64][]byte // by file and offset
}

// openJournal continues a journal of the same stream, or begins one.
func openJournal(path string, identity []byte) (*journal, error) {
	j := &journal{states: map[int]map[int64][]byte{}}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: want a regular file or none; remove it", path)
	}
	header := fmt.Sprintf("%s%x\n", journalMagic, identity)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	keep := 0
	if len(old) < maxJournal && bytes.HasPrefix(old, []byte(header)) {
		keep = j.read(old, len(header))
	}
	if j.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return nil, err
	}
	if err = j.f.Truncate(int64(keep)); err == nil && keep == 0 {
		_, err = j.f.WriteAt([]byte(header), 0)
	}
	if err == nil {
		_, err = j.f.Seek(0, 2)
	}
	if err != nil {
		return nil, errors.Join(err, j.f.Close())
	}
	return j, nil
}

// read takes whole and right lines from offset at on and returns where they end.
func (j *journal) read(old []byte, at int) int {
	for {
		line, _, whole := bytes.Cut(old[at:], []byte("\n"))
		var file int
		var offset int64
		var text string
		var sum uint32
		if _, err := fmt.Sscanf(string(line), "%d %d %s %08x", &file, &offset, &text, &sum); !whole || err != nil {
			return at
		}
		state, err := hex.DecodeString(text)
		if err != nil || sum != lineSum(file, offset, text) {
			return at
		}
		j.set(file, offset, state)
		at += len(line) + 1
	}
}

func (j *journal) set(file int, offset int64, state []byte) {
	if j.states[file] == nil {
		j.states[file] = map[int64][]byte{}
	}
	j.states[file][offset] = state
}

func lineSum(file int, offset int64, state string) uint32 {
	return crc32.Checksum(fmt.Appendf(nil, "%d %d %s", file, offset, state), castagnoli)
}

// add writes a hash's state down.
func (j *journal) add(file int, offset int64, h hash.Hash) error {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return fmt.Errorf("%T tells no state", h)
	}
	state, err := m.MarshalBinary()
	if err != nil {
		return err
	}
	text := hex.EncodeToString(state)
	_, err = fmt.Fprintf(j.f, "%d %d %s %08x\n", file, offset, text, lineSum(file, offset, text))
	return err
}

func (j *journal) close() error { return j.f.Close() }
