package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/memory"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// malformed is one line of the golden index of hostile files.
type malformed struct{ Name, Kind, Level, Expect, Why string }

func TestGoldenMalformed(t *testing.T) {
	dir := filepath.Join(golden.Dir(t, "gguf"), "malformed")
	var cases []malformed
	if err := json.Unmarshal(golden.Read(t, filepath.Join(dir, "index.json")), &cases); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range cases {
		if c.Kind != "safetensors" {
			continue
		}
		n++
		f, err := Parse(golden.Read(t, filepath.Join(dir, c.Name)))
		if c.Expect == "accept" && err != nil || c.Expect == "error" && err == nil {
			t.Errorf("%s (%s): err = %v, want %s", c.Name, c.Why, err, c.Expect)
		}
		if err == nil {
			readAll(t, f)
		}
		t.Logf("%s: %v", c.Name, err)
	}
	golden.Count(t, n)
}

// file builds a file by hand: what Parse must accept or refuse does not depend on Write.
func file(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestParse(t *testing.T) {
	data := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	f, err := Parse(file(`{"b":{"dtype":"I16","shape":[2,1],"data_offsets":[4,8]},`+
		`"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}  `, data))
	if err != nil {
		t.Fatal(err)
	}
	want := []Tensor{
		{Name: "a", DType: "F32", Shape: []int{}, Data: data[:4]},
		{Name: "b", DType: "I16", Shape: []int{2, 1}, Data: data[4:]},
	}
	if diff := cmp.Diff(want, f.Tensors); diff != "" {
		t.Errorf("tensors (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"format": "pt"}, f.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	for _, w := range want {
		if got, ok := f.Tensor(w.Name); !ok || !cmp.Equal(got, w) {
			t.Errorf("Tensor(%q) = %v, %v", w.Name, got, ok)
		}
	}
	if _, ok := f.Tensor("c"); ok {
		t.Error("Tensor(c) was found")
	}
}

func TestParseRefuses(t *testing.T) {
	one := `"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`
	for _, c := range []struct{ name, header, want string }{
		{"unknown field", `{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}}`, `"x": want dtype, shape or data_offsets`},
		{"field twice", `{"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}}`, `"dtype": found twice`},
		{"metadata twice", `{"__metadata__":{},"__metadata__":{},` + one + `}`, "found twice"},
		{"metadata key twice", `{"__metadata__":{"k":"1","k":"2"},` + one + `}`, "found twice"},
		{"nine dimensions", `{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}}`, "at most 8"},
		{"exponent", `{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,1]}}`, "whole number"},
		{"text after", `{` + one + `} x`, "nothing but blanks"},
		{"object after", `{` + one + `}{}`, "nothing but blanks"},
		{"unfinished", `{` + one, "unexpected EOF"},
		{"unfinished number", `{"a":{"dtype":"U8","shape":[1`, "unexpected EOF"},
		{"two in the same place", `{` + one + `,"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, "no overlap"},
		{"empty twice", `{` + one + `,"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, `"b": found twice`},
	} {
		_, err := Parse(file(c.header, []byte{7}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want one with %q", c.name, err, c.want)
		}
	}
}

// Every file that Write makes is what Parse reads, and the same input gives the same bytes.
func TestWriteRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dtypes := rapid.SampledFrom([]DType{F32, F16, BF16, I8, I32, "U64", "BOOL"})
		tensors := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Tensor {
			x := Tensor{Name: rapid.StringN(0, 9, -1).Draw(t, "name"), DType: dtypes.Draw(t, "dtype")}
			x.Shape = rapid.SliceOfN(rapid.IntRange(0, 3), 0, 4).Draw(t, "shape")
			n := x.DType.Size()
			for _, d := range x.Shape {
				n *= d
			}
			x.Data = bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, n)
			return x
		}), 0, 6, func(x Tensor) string { return x.Name }).Draw(t, "tensors")
		metadata := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")

		var b, again bytes.Buffer
		if err := Write(&b, tensors, metadata); err != nil {
			t.Fatal(err)
		}
		if err := Write(&again, tensors, metadata); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Fatalf("written twice: err = %v, or other bytes", err)
		}
		f, err := Parse(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tensors {
			got, ok := f.Tensor(want.Name)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); !ok || diff != "" {
				t.Fatalf("Tensor(%q) found: %v (-want +got):\n%s", want.Name, ok, diff)
			}
		}
		if diff := cmp.Diff(metadata, f.Metadata, cmpopts.EquateEmpty()); diff != "" || len(f.Tensors) != len(tensors) {
			t.Fatalf("%d tensors, want %d; metadata (-want +got):\n%s", len(f.Tensors), len(tensors), diff)
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	ok := Tensor{Name: "a", DType: F32, Shape: []int{1}, Data: make([]byte, 4)}
	for name, tensors := range map[string][]Tensor{
		"same name":    {ok, ok},
		"reserved":     {{Name: "__metadata__", DType: F32, Shape: []int{1}, Data: make([]byte, 4)}},
		"not UTF-8":    {{Name: "\xff", DType: F32, Shape: []int{1}, Data: make([]byte, 4)}},
		"unknown type": {{Name: "a", DType: "F7", Shape: []int{0}}},
		"short data":   {{Name: "a", DType: F32, Shape: []int{2}, Data: make([]byte, 4)}},
	} {
		if err := Write(&bytes.Buffer{}, tensors, nil); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

// A file cut anywhere is refused.
func TestParseRefusesEveryPrefix(t *testing.T) {
	whole := file(`{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}`, []byte{1, 2, 3})
	for n := range whole {
		if _, err := Parse(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were accepted", n, len(whole))
		}
	}
}

// The header's limit holds also where the file has the bytes.
func TestParseRefusesALongHeader(t *testing.T) {
	data := make([]byte, 8+maxHeader+1)
	binary.LittleEndian.PutUint64(data, maxHeader+1)
	data[8] = '{'
	if _, err := Parse(data); err == nil || !strings.Contains(err.Error(), "at most 100000000") {
		t.Errorf("err = %v", err)
	}
}

// As many tensors as Parse takes, and one giant name, stay within four times the file and 8 MiB.
func TestParseMemory(t *testing.T) {
	sample.Skip(t)
	var b strings.Builder
	b.WriteByte('{')
	for i := range maxTensors + 1 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	b.WriteByte('}')
	many := b.String()
	var meta strings.Builder
	for i := range 1 << 18 {
		fmt.Fprintf(&meta, `"%x":"",`, i)
	}
	last := strings.LastIndex(many, `,"65536"`)
	for name, c := range map[string]struct {
		data []byte
		ok   bool
	}{
		"limit":      {file(many[:last]+"}", nil), true},
		"over":       {file(many, nil), false},
		"metadata":   {file(`{"__metadata__":{`+strings.TrimSuffix(meta.String(), ",")+"}}", nil), false},
		"giant name": {file(`{"`+strings.Repeat("x", 1<<24)+`":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, nil), true},
	} {
		var err error
		if used, limit := memory.PeakLive(func() { _, err = Parse(c.data) }), uint64(4*len(c.data)+8<<20); used > limit {
			t.Errorf("%s: parsing %d bytes held %d bytes, limit %d", name, len(c.data), used, limit)
		}
		if (err == nil) != c.ok {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

// Any bytes give a File or an error: no panic, and no more memory than 64 bytes per byte of input plus 8 MiB.
func FuzzParse(f *testing.F) {
	for _, path := range globSeeds(f, "testdata/gguf/malformed/*.safetensors") {
		f.Add(golden.Read(f, path))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var file *File
		var err error
		if used, limit := memory.Allocated(func() { file, err = Parse(data) }), uint64(64*len(data)+8<<20); used > limit {
			t.Fatalf("parsing %d bytes allocated %d bytes, limit %d", len(data), used, limit)
		}
		if err == nil {
			readAll(t, file)
		}
	})
}

// readAll uses everything that Parse returned: what it accepts must be safe to use.
func readAll(t testing.TB, f *File) {
	t.Helper()
	n := 0
	for _, x := range f.Tensors {
		got, ok := f.Tensor(x.Name)
		if !ok || len(got.Data) != len(x.Data) {
			t.Fatalf("Tensor(%q): found %v, %d bytes, want %d", x.Name, ok, len(got.Data), len(x.Data))
		}
		for _, b := range got.Data {
			n += int(b)
		}
	}
}

func globSeeds(f *testing.F, pattern string) []string {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		f.Fatalf("%s: %d files, err = %v", pattern, len(paths), err)
	}
	return paths
}

// Data made while the file grows gives the bytes of Write; a source that breaks its word is named.
func TestStream(t *testing.T) {
	data := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	var want, got bytes.Buffer
	if err := Write(&want, []Tensor{{"a", I8, []int{2, 4}, data}, {"b", F16, []int{4}, data}}, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	half := func(w io.Writer) error { // in two parts
		_, err := w.Write(data[:3])
		_, err2 := w.Write(data[3:])
		return errors.Join(err, err2)
	}
	if err := Stream(&got, []Source{{"a", I8, []int{2, 4}, half}, {"b", F16, []int{4}, half}}, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("Stream and Write differ")
	}
	failed := errors.New("no data")
	for name, c := range map[string]struct {
		source Source
		want   string
	}{
		"more":  {Source{"few", I8, []int{7}, half}, "few"},
		"fewer": {Source{"many", I8, []int{9}, half}, "many"},
		"error": {Source{"a", I8, []int{1}, func(io.Writer) error { return failed }}, failed.Error()},
		"type":  {Source{"odd", "I3", []int{8}, half}, "odd"},
		"shape": {Source{"deep", I8, make([]int, maxDims+1), half}, "deep"},
	} {
		if err := Stream(io.Discard, []Source{c.source}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error that names %s", name, err, c.want)
		}
	}
}
