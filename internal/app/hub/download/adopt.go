package download

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Adopt makes the file at from, of which the pieces [a, b) are here, the partial file of the one at path. Nothing of it is trusted:
// the hash decides in the end.
func Adopt(path, from string, size int64, pieces [][2]int64) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%d\n", journalHead, size)
	for _, p := range pieces {
		fmt.Fprintf(&b, "%d %d\n", p[0], p[1])
	}
	if err := os.WriteFile(path+Journal, []byte(b.String()), 0o666); err != nil {
		return err
	}
	if err := os.Rename(from, path+Partial); err != nil {
		return errors.Join(err, os.Remove(path+Journal))
	}
	return nil
}

// Held returns the pieces [a, b) that are here of an unfinished file of that size, in order; ok is false if nothing is.
func Held(path string, size int64) (pieces [][2]int64, ok bool, err error) {
	if _, err := os.Lstat(path + Partial); errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	p, err := openPart(Target{Path: path, Size: size, Sum: Sum{Kind: "SHA-256"}})
	if err != nil {
		return nil, false, err
	}
	for _, s := range p.have {
		pieces = append(pieces, [2]int64{s.from, s.to})
	}
	return pieces, len(pieces) > 0, p.close()
}
