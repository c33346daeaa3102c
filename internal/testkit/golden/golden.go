// Package golden finds and reads the reference data that tests named TestGolden... compare with.
//
// A package keeps a sample under its testdata. When SYSTEMGEMMA_GOLDEN names a folder of whole sets, tests read all of that
// instead. For tests only; it knows the folder's layout, not what is in a case.
package golden

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Dir returns the folder of one set: $SYSTEMGEMMA_GOLDEN/set when the variable is set, else the package's testdata/set.
func Dir(t testing.TB, set string) string {
	t.Helper()
	dir := filepath.Join("testdata", set)
	if root := os.Getenv("SYSTEMGEMMA_GOLDEN"); root != "" {
		dir = filepath.Join(root, set)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("golden data: %v", err)
	}
	return dir
}

// Read returns a file's bytes, unpacked when its name ends in .gz.
func Read(t testing.TB, path string) []byte {
	t.Helper()
	r := open(t, path)
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return b
}

// Lines yields each line of a JSON Lines file (.gz or not) decoded as T. Lines end with \n only and may be of any length.
func Lines[T any](t testing.TB, path string) iter.Seq[T] {
	return func(yield func(T) bool) {
		t.Helper()
		r := open(t, path)
		defer r.Close()
		lines := bufio.NewReader(r)
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if len(line) > 0 {
				var v T
				if err := json.Unmarshal(line, &v); err != nil {
					t.Fatalf("%s:%d: %v", path, n, err)
				}
				if !yield(v) {
					return
				}
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%s:%d: %v", path, n, err)
			}
		}
	}
}

// Count logs how many cases a golden test compared, and fails the test when there were none.
func Count(t testing.TB, n int) {
	t.Helper()
	if n == 0 {
		t.Fatal("golden: no cases found")
	}
	t.Logf("golden: %d cases", n)
}

func open(t testing.TB, path string) io.ReadCloser {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatalf("golden data: %v", err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return f
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}
}
