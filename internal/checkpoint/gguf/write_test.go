package gguf

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Every file that Write makes is what Parse reads, and the same input gives the same bytes.
func TestWriteRoundTrip(t *testing.T) {
	type pair struct {
		name string
		typ  Type
		dims []int
		fill byte
	}
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) pair {
			return pair{
				rapid.StringN(1, 9, -1).Draw(t, "name"), rapid.SampledFrom([]Type{F32, F16, BF16, I8, I32}).Draw(t, "type"),
				rapid.SliceOfN(rapid.IntRange(1, 5), 1, maxDims).Draw(t, "dims"), rapid.Byte().Draw(t, "fill"),
			}
		}), 0, 5, func(p pair) string { return p.name }).Draw(t, "tensors")
		texts := rapid.MapOfN(rapid.StringN(1, 9, -1), rapid.String(), 0, 5).Draw(t, "texts")
		delete(texts, alignmentKey)
		var entries []Entry
		for k, v := range texts {
			entries = append(entries, Entry{k, v})
		}
		if a := rapid.SampledFrom([]uint32{0, 8, 32, 64, 4096}).Draw(t, "alignment"); a > 0 {
			entries = append(entries, Entry{alignmentKey, a})
		}
		var tensors []Source
		for _, p := range pairs {
			tensors = append(tensors, source(p.name, p.typ, p.fill, p.dims...))
		}
		var b, again bytes.Buffer
		if err := errors.Join(Write(&b, entries, tensors), Write(&again, entries, tensors)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Fatal("written twice: other bytes")
		}
		f, err := Parse(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range pairs {
			got := f.Tensors[i]
			if got.Name != p.name || got.Type != p.typ || !cmp.Equal(got.Shape, p.dims) || len(bytes.Trim(got.Data, string([]byte{p.fill}))) > 0 {
				t.Fatalf("tensor %d: got %v, want %v", i, got, p)
			}
		}
		for k, want := range texts {
			v, _ := f.Lookup(k)
			if got, err := v.Text(); got != want || err != nil {
				t.Fatalf("%q: got %q, %v, want %q", k, got, err, want)
			}
		}
		if len(f.Tensors) != len(pairs) || len(f.Metadata) != len(entries) {
			t.Fatalf("%d tensors and %d values, want %d and %d", len(f.Tensors), len(f.Metadata), len(pairs), len(entries))
		}
	})
}

// Replacing numbers by others of their type leaves the header's length as it was: space for what is known last.
func TestHeaderLengthDependsOnTypesOnly(t *testing.T) {
	tensors := []Source{source("a", F32, 0, 4)}
	length := func(sum uint32, table []uint32, digest string) int {
		b, err := AppendHeader(nil, []Entry{{"sum", sum}, {"table", table}, {"digest", digest}}, tensors)
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	if a, b := length(0, make([]uint32, 9), strings.Repeat("0", 64)), length(1<<31, []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9}, strings.Repeat("f", 64)); a != b {
		t.Errorf("lengths %d and %d, want the same", a, b)
	}
}

func TestWriteRefuses(t *testing.T) {
	failed := errors.New("no data")
	short := source("a", F32, 0, 2)
	short.Shape = []int{3}
	for name, c := range map[string]struct {
		entries []Entry
		tensors []Source
		want    string
	}{
		"key twice":         {[]Entry{{"k", "1"}, {"k", "2"}}, nil, "twice"},
		"no key":            {[]Entry{{"", "1"}}, nil, "name"},
		"key not UTF-8":     {[]Entry{{"\xff", "1"}}, nil, "UTF-8"},
		"nil":               {[]Entry{{"k", nil}}, nil, "nil"},
		"int":               {[]Entry{{"k", 1}}, nil, "sized number"},
		"map":               {[]Entry{{"k", map[string]string{}}}, nil, "sized number"},
		"array of arrays":   {[]Entry{{"k", [][]int32{{1}}}}, nil, "sized number"},
		"alignment type":    {[]Entry{{alignmentKey, int32(64)}}, nil, "alignment"},
		"alignment 3":       {[]Entry{{alignmentKey, uint32(3)}}, nil, "alignment"},
		"tensor twice":      {nil, []Source{source("a", F32, 0, 1), source("a", F32, 0, 1)}, "twice"},
		"no dimension":      {nil, []Source{source("a", F32, 0)}, "dimensions"},
		"empty dimension":   {nil, []Source{source("a", F32, 0, 0)}, "dimensions"},
		"part of a block":   {nil, []Source{source("a", Q8_0, 0, 33)}, "multiple of 32"},
		"unknown type":      {nil, []Source{source("a", 250, 0, 1)}, "unknown type"},
		"fewer bytes":       {nil, []Source{short}, "found 8 written"},
		"error of the data": {nil, []Source{{"a", F32, []int{1}, func(io.Writer) error { return failed }}}, failed.Error()},
	} {
		err := Write(io.Discard, c.entries, c.tensors)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want one with %q", name, err, c.want)
		}
	}
}

// An error of the writer comes back wherever it happens.
func TestWritePassesErrors(t *testing.T) {
	whole := small(t)
	for _, room := range []int{0, 10, len(whole) - 100, len(whole) - 1} {
		err := Write(&limited{room}, []Entry{{"k", strings.Repeat("x", len(whole)-200)}}, []Source{source("a", F32, 0, 20)})
		if !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("room for %d bytes: err = %v", room, err)
		}
	}
}

type limited struct{ room int }

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		return 0, io.ErrShortWrite
	}
	l.room -= len(p)
	return len(p), nil
}
