package ollamastore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
)

// Ollama keeps an unfinished blob as BLOB-partial, of its full size, and BLOB-partial-N, one JSON object each for the ranges it asks
// for. What is here of a download is handed over in that form both ways, so that either program goes on where the other stopped.

// part is one of these files.
type part struct {
	N         int
	Offset    int64
	Size      int64
	Completed int64
}

// maxParts bounds them: Ollama asks for at most 64 ranges.
const maxParts = 1024

// Adopt turns what Ollama left of a blob into our partial file. It returns the blob's size, -1 if nothing usable was there; what is
// damaged is removed.
func (s Store) Adopt(d Digest) (size int64, err error) {
	path := s.BlobPath(d)
	files, err := filepath.Glob(globEscape(path) + "-partial-*")
	if err != nil || len(files) == 0 {
		return -1, err
	}
	spans, size, ok := readParts(files)
	if _, err := os.Lstat(path + "-partial"); err != nil {
		ok = false
	}
	if _, err := os.Lstat(path + download.Partial); err == nil {
		ok = false // ours is here already
	}
	if ok {
		if err := download.Adopt(path, path+"-partial", size, spans); err != nil {
			return -1, err
		}
	} else {
		size = -1
	}
	return size, errors.Join(ignoreMissing(os.Remove(path+"-partial")), removeAll(files))
}

// readParts reads part files that cover a blob without gaps.
func readParts(files []string) (spans [][2]int64, size int64, ok bool) {
	if len(files) > maxParts {
		return nil, 0, false
	}
	var parts []part
	for _, f := range files {
		text, err := readFile(f, 1<<16)
		var p part
		if err != nil || json.Unmarshal(text, &p) != nil || p.Offset < 0 || p.Size < 0 || p.Completed < 0 || p.Completed > p.Size {
			return nil, 0, false
		}
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b part) int { return a.N - b.N })
	for i, p := range parts {
		if p.N != i || p.Offset != size || size+p.Size < size {
			return nil, 0, false
		}
		size += p.Size
		if p.Completed > 0 {
			spans = append(spans, [2]int64{p.Offset, p.Offset + p.Completed})
		}
	}
	return spans, size, true
}

// Leave hands what is here of a blob to Ollama, in its own form.
func (s Store) Leave(d Digest, size int64) error {
	path := s.BlobPath(d)
	spans, ok, err := download.Held(path, size)
	if err != nil || !ok {
		return err
	}
	var parts []part
	at := int64(0)
	for _, x := range spans {
		if x[0] > at {
			parts = append(parts, part{Offset: at, Size: x[0] - at})
		}
		parts = append(parts, part{Offset: x[0], Size: x[1] - x[0], Completed: x[1] - x[0]})
		at = x[1]
	}
	if n := len(parts); n > 0 && parts[n-1].Completed > 0 {
		parts[n-1].Size = size - parts[n-1].Offset // the last goes on to the end
	} else {
		parts = append(parts, part{Offset: at, Size: size - at})
	}
	if len(parts) > maxParts {
		return nil // too scattered for it; ours stays
	}
	if err := os.Truncate(path+download.Partial, size); err != nil {
		return err
	}
	for i, p := range parts {
		p.N = i
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if err := os.WriteFile(fmt.Sprintf("%s-partial-%d", path, i), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if err := os.Rename(path+download.Partial, path+"-partial"); err != nil {
		return err
	}
	return download.Discard(path)
}

func removeAll(files []string) error {
	var errs []error
	for _, f := range files {
		errs = append(errs, ignoreMissing(os.Remove(f)))
	}
	return errors.Join(errs...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func globEscape(path string) string {
	var b []byte
	for i := range len(path) {
		if c := path[i]; c == '*' || c == '?' || c == '[' || c == '\\' && os.PathSeparator == '/' {
			b = append(b, '\\')
		}
		b = append(b, path[i])
	}
	return string(b)
}
