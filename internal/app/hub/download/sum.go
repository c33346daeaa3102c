package download

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"regexp"
	"strconv"
)

// Sum is how a file's bytes are checked: SHA-256, or the hash of a git blob, SHA-1 over "blob SIZE\0" and the bytes. The zero
// value checks nothing.
type Sum struct {
	Kind string // "SHA-256", "git blob SHA-1" or ""
	Hex  string
}

var (
	hex64 = regexp.MustCompile(`^[0-9a-f]{64}$`)
	hex40 = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// SumOf reads the hash that an etag of a hub is: empty for an etag that is none.
func SumOf(etag string) Sum {
	switch {
	case hex64.MatchString(etag):
		return Sum{"SHA-256", etag}
	case hex40.MatchString(etag):
		return Sum{"git blob SHA-1", etag}
	}
	return Sum{}
}

// New returns the hash of a file of size bytes, ready for its bytes; nil for the zero Sum.
func (s Sum) New(size int64) hash.Hash {
	switch s.Kind {
	case "SHA-256":
		return sha256.New()
	case "git blob SHA-1":
		h := sha1.New()
		h.Write([]byte("blob " + strconv.FormatInt(size, 10) + "\x00"))
		return h
	}
	return nil
}

// CheckFile returns a *HashError if a file's bytes are not those of the sum, and the error of reading it.
func (s Sum) CheckFile(path string) error {
	if s.Kind == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := s.New(info.Size())
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
		return fmt.Errorf("check of %s: %w", path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != s.Hex {
		return &HashError{path, s, got}
	}
	return nil
}
