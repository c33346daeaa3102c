package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// served is a Getter of bytes in memory that keeps to ranges.
type served struct {
	bytes []byte
	gets  atomic.Int64
}

func (s *served) Get(_ context.Context, from, to int64, _ bool) (*http.Response, error) {
	s.gets.Add(1)
	h, status := http.Header{}, http.StatusOK
	if to < 0 {
		to = int64(len(s.bytes))
	}
	if from > 0 || to < int64(len(s.bytes)) {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(s.bytes)))
	}
	return &http.Response{StatusCode: status, Header: h, ContentLength: to - from, Body: io.NopCloser(bytes.NewReader(s.bytes[from:to]))}, nil
}

func sumOf(b []byte) Sum { s := sha256.Sum256(b); return Sum{"SHA-256", hex.EncodeToString(s[:])} }

// Whatever lies about from before (a prefix right or wrong, a journal of any text), the file is right in the end, whether fetched
// in order or in ranges, and nothing is left beside it.
func TestFetchIsRightWhateverWasThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "fetch")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		want := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		path := filepath.Join(dir, "file")
		if rapid.Bool().Draw(t, "partial") {
			prefix := bytes.Clone(want[:rapid.IntRange(0, len(want)).Draw(t, "prefix")])
			if rapid.Bool().Draw(t, "wrong") {
				prefix = append(prefix, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "garbage")...)
			}
			if err := os.WriteFile(path+Partial, prefix, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if rapid.Bool().Draw(t, "journal") {
			text := journalHead + strconv.Itoa(len(want)) + "\n"
			for range rapid.IntRange(0, 4).Draw(t, "lines") {
				text += fmt.Sprintf("%d %d\n", rapid.IntRange(0, 300).Draw(t, "from"), rapid.IntRange(0, 300).Draw(t, "to"))
			}
			text = text[:rapid.IntRange(0, len(text)).Draw(t, "kept")]
			if err := os.WriteFile(path+Journal, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		get := &served{bytes: want}
		o := Options{Ranges: rapid.IntRange(1, 4).Draw(t, "ranges"), Large: 1, Segment: int64(rapid.IntRange(1, 100).Draw(t, "segment"))}
		if err := Fetch(context.Background(), Target{Name: "file", Path: path, Size: int64(len(want)), Sum: sumOf(want)}, get, o); err != nil {
			t.Fatalf("Fetch: %v", err)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, want %d (%v)", len(got), len(want), err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Fatalf("left behind: %v (%v)", left, err)
		}
	})
}

// A Stream gives the bytes from its offset, through connections that break after any number of them.
func TestStreamGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "bytes")
		offset := rapid.IntRange(0, len(want)).Draw(t, "offset")
		get := &breaking{served: served{bytes: want}, after: rapid.IntRange(1, 50).Draw(t, "after")}
		o := Options{Wait: func(context.Context, int, error) error { return nil }}
		o.Clock.Scale = 1e9
		s := Stream(context.Background(), Target{Name: "file", Size: int64(len(want))}, int64(offset), get, o)
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, want[offset:]) {
			t.Fatalf("got %d bytes from %d, want %d (%v)", len(got), offset, len(want)-offset, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

type breaking struct {
	served
	after int
}

func (b *breaking) Get(ctx context.Context, from, to int64, fresh bool) (*http.Response, error) {
	resp, err := b.served.Get(ctx, from, to, fresh)
	if err == nil && resp.ContentLength > int64(b.after) {
		resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, int64(b.after)), &broken{}))
	}
	return resp, err
}

type broken struct{}

func (*broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A journal of any text gives pieces inside the file, or none.
func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(journalHead+"10\n0 5\n7 10\n"), int64(10))
	f.Add([]byte(journalHead+"10\n0 5\n7 1"), int64(10))
	f.Add([]byte("x"), int64(0))
	f.Fuzz(func(t *testing.T, text []byte, size int64) {
		spans, ok := parseJournal(text, size)
		if !ok && spans != nil {
			t.Fatal("pieces of a journal that is none")
		}
		for _, s := range spans {
			if s.from < 0 || s.from >= s.to || s.to > size {
				t.Fatalf("piece %v of a file of %d bytes", s, size)
			}
		}
	})
}
