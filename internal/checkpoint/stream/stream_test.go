package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// source is files in memory. It counts what was read, and breaks off behind a limit.
type source struct {
	files map[string][]byte
	read  int
	limit int // bytes until an error; 0: none
}

var errBroken = errors.New("connection lost")

func (s *source) open(_ context.Context, name string, offset int64) (io.ReadCloser, error) {
	return io.NopCloser(&reader{s, s.files[name][offset:]}), nil
}

type reader struct {
	s *source
	b []byte
}

func (r *reader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 1+rand.IntN(5000))], r.b)
	if r.s.limit > 0 && r.s.read+n > r.s.limit {
		return 0, errBroken
	}
	r.s.read += n
	r.b = r.b[n:]
	return n, nil
}

// weights is a file with a header and that many random bytes.
func weights(n int) []byte {
	const header = `{"pad":"` + "0123456789" + `"}`
	b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	for range n {
		b = append(b, byte(rand.Uint32()))
	}
	return b
}

func list(files map[string][]byte) (all []File) {
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range files {
			if !yield(n) {
				return
			}
		}
	}) {
		sum := sha256.Sum256(files[name])
		all = append(all, File{Name: name, Size: int64(len(files[name])), Sum: sum[:], Hash: func() hash.Hash { return sha256.New() }})
	}
	return all
}

const part = 3000 // bytes of a span

// spans cuts what follows the headers.
func spans(s *Stream) (all []Span) {
	for _, f := range s.files {
		for at := int64(len(f.header)); at < f.Size; at += part {
			all = append(all, Span{Start: f.base + at, End: f.base + min(at+part, f.Size)})
		}
	}
	return all
}

// attempt goes through all spans, as a conversion does, and compares them with the files. done remembers which were used.
func attempt(t *testing.T, src *source, journal string, done []bool) ([]bool, error) {
	t.Helper()
	s, err := Open(t.Context(), list(src.files), src.open)
	if err != nil {
		return done, err
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.window, s.every = 40_000, 10_000
	all := spans(s)
	if done == nil {
		done = make([]bool, len(all))
	}
	for i := range all {
		all[i].Done = done[i]
	}
	again, err := s.Begin(t.Context(), all, journal)
	if err != nil {
		return done, err
	}
	for _, i := range again {
		done[i] = false
	}
	for i, x := range all {
		s.Passed(x.Start)
		if done[i] {
			continue
		}
		k := slices.IndexFunc(s.files, func(f *file) bool { return x.Start >= f.base && x.End <= f.base+f.Size })
		f := s.files[k]
		data, _ := s.Data(f.Name)
		data = data[x.Start-f.base : x.End-f.base]
		if got := s.Order(data); got != x.Start {
			t.Errorf("order %d, want %d", got, x.Start)
		}
		if err := s.Await(t.Context(), data); err != nil {
			return done, err
		}
		if !bytes.Equal(data, src.files[f.Name][x.Start-f.base:x.End-f.base]) {
			t.Errorf("span %d: other bytes", i)
		}
		done[i] = true
	}
	return done, s.Verify(t.Context())
}

// Work that breaks off again and again ends, and little comes twice.
func TestResume(t *testing.T) {
	src := &source{files: map[string][]byte{"a": weights(100_000), "b": weights(50), "c": weights(70_001)}}
	total := len(src.files["a"]) + len(src.files["b"]) + len(src.files["c"])
	journal := filepath.Join(t.TempDir(), "journal")
	var done []bool
	attempts, sum := 0, 0
	for {
		attempts++
		src.read, src.limit = 0, 15_000+rand.IntN(20_000)
		var err error
		done, err = attempt(t, src, journal, done)
		sum += src.read
		if err == nil {
			break
		}
		if !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		if attempts > 100 {
			t.Fatal("no end")
		}
		if attempts%3 == 0 { // a torn line, and bytes of the output that did not reach the disk
			b, _ := os.ReadFile(journal)
			if err := os.WriteFile(journal, b[:len(b)-1], 0o600); err != nil {
				t.Fatal(err)
			}
			done[rand.IntN(len(done))] = false
		}
	}
	if attempts < 3 {
		t.Errorf("%d attempts: nothing was broken off", attempts)
	}
	t.Logf("%d attempts read %d bytes of %d", attempts, sum, total)
	src.read, src.limit = 0, 0
	if _, err := attempt(t, src, journal, done); err != nil {
		t.Error(err)
	}
	if headers := 3 * 5000; src.read > headers { // a reader may take more than it asked for
		t.Errorf("%d bytes came though all was done", src.read)
	}
}

// Bytes that are not the file's are told, at the latest at the end, also when it was changed between two attempts.
func TestMismatch(t *testing.T) {
	for _, at := range []int{60_000, 99_999, 30} {
		src := &source{files: map[string][]byte{"a": weights(100_000), "b": weights(1000)}}
		files := list(src.files)
		src.files["a"] = bytes.Clone(src.files["a"])
		src.files["a"][at] ^= 1
		s, err := Open(t.Context(), files, src.open)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Begin(t.Context(), spans(s), filepath.Join(t.TempDir(), "journal")); err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(t.Context()); !errors.Is(err, ErrMismatch) || !strings.HasPrefix(err.Error(), "a: ") {
			t.Errorf("byte %d: %v, want a mismatch of a", at, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	src := &source{files: map[string][]byte{"a": weights(100_000)}, limit: 50_000}
	files := list(src.files)
	journal := filepath.Join(t.TempDir(), "journal")
	done, err := attempt(t, src, journal, nil)
	if !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	src.limit = 0
	src.files["a"][70_000] ^= 1
	s, err := Open(t.Context(), files, src.open)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := spans(s)
	for i := range all {
		all[i].Done = done[i]
	}
	if _, err := s.Begin(t.Context(), all, journal); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context()); !errors.Is(err, ErrMismatch) {
		t.Errorf("found %v, want a mismatch", err)
	}
}

// The header of the second reading must be that of the first.
func TestChangedHeader(t *testing.T) {
	src := &source{files: map[string][]byte{"a": weights(1000)}}
	s, err := Open(t.Context(), list(src.files), src.open)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	src.files["a"][12] ^= 1
	if _, err := s.Begin(t.Context(), spans(s), filepath.Join(t.TempDir(), "journal")); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context()); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "header") {
		t.Errorf("found %v", err)
	}
}

// What is no safetensors file is refused before anything else comes; a file that is too short is told; nothing hangs.
func TestBadFiles(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":         nil,
		"short":         []byte("1234567"),
		"header beyond": append(binary.LittleEndian.AppendUint64(nil, 100), "{}"...),
		"huge header":   append(binary.LittleEndian.AppendUint64(nil, 1<<60), "{}"...),
	} {
		src := &source{files: map[string][]byte{"a": b}}
		if s, err := Open(t.Context(), list(src.files), src.open); err == nil {
			t.Errorf("%s: opened", name)
			_ = s.Close()
		}
	}
	src := &source{files: map[string][]byte{"a": weights(1000)}}
	files := list(src.files)
	src.files["a"] = src.files["a"][:500]
	s, err := Open(t.Context(), files, src.open)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Begin(t.Context(), spans(s), filepath.Join(t.TempDir(), "journal")); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context()); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("found %v, want an unexpected end", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	data, _ := s.Data("a")
	if err := s.Await(ctx, data); err == nil {
		t.Error("bytes that never came were there")
	}
}

// FuzzJournal opens arbitrary bytes as a journal.
func FuzzJournal(f *testing.F) {
	head := fmt.Sprintf("%s%x\n", journalMagic, "id")
	f.Add([]byte(head + "0 12 00ff " + fmt.Sprintf("%08x", lineSum(0, 12, "00ff")) + "\n"))
	f.Add([]byte(head + "0 12"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := openJournal(path, []byte("id"))
		if err != nil {
			t.Fatal(err)
		}
		if err := j.add(1, 5, sha256.New()); err != nil {
			t.Fatal(err)
		}
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		if j, err = openJournal(path, []byte("id")); err != nil {
			t.Fatal(err)
		}
		defer j.close()
		if j.states[1][5] == nil {
			t.Error("a line that was added is lost")
		}
	})
}
