package gguf

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/memory"
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
		if c.Kind != "gguf" {
			continue
		}
		n++
		f, err := Parse(golden.Read(t, filepath.Join(dir, c.Name)))
		if accept := c.Expect == "accept" || c.Level == "model"; accept && err != nil || !accept && c.Expect == "error" && err == nil {
			t.Errorf("%s (%s): err = %v, want %s", c.Name, c.Why, err, c.Expect)
		}
		if err == nil {
			readAll(t, f)
		}
		t.Logf("%s: %v", c.Name, err)
	}
	golden.Count(t, n)
}

// source is a tensor of one repeated byte.
func source(name string, typ Type, fill byte, shape ...int) Source {
	return Source{Name: name, Type: typ, Shape: shape, Write: func(w io.Writer) error {
		n, err := sourceSize(Source{Type: typ, Shape: shape})
		if err != nil {
			return err
		}
		_, err = w.Write(bytes.Repeat([]byte{fill}, n))
		return err
	}}
}

func build(t testing.TB, entries []Entry, tensors ...Source) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, entries, tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// small is a valid file with every kind of value and three tensors.
func small(t testing.TB) []byte {
	return build(t, []Entry{
		{"general.architecture", "gemma2"}, {"general.alignment", uint32(64)},
		{"u8", uint8(200)}, {"i8", int8(-7)}, {"u16", uint16(60000)}, {"i16", int16(-300)}, {"u32", uint32(1 << 31)}, {"i32", int32(-5)},
		{"u64", uint64(math.MaxUint64)}, {"i64", int64(math.MinInt64)}, {"f32", float32(0.5)}, {"f64", 0.1}, {"yes", true}, {"no", false},
		{"texts", []string{"a", "", "▁b"}}, {"ints", []int32{-1, 2}}, {"floats", []float32{1.5, -2}}, {"bools", []bool{true, false}},
		{"bad", "\xff"}, {"bads", []string{"ok", "\xff"}}, {"bytes", []uint8{1, 255}}, {"none", []uint32{}},
	}, source("a.weight", F32, 1, 3, 5), source("b.weight", Q8_0, 2, 2, 64), source("c.weight", I8, 3, 7))
}

func TestParseReadsTensors(t *testing.T) {
	data := small(t)
	f, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	want := []Tensor{
		{"a.weight", F32, []int{3, 5}, bytes.Repeat([]byte{1}, 60), 0},
		{"b.weight", Q8_0, []int{2, 64}, bytes.Repeat([]byte{2}, 136), 64},
		{"c.weight", I8, []int{7}, bytes.Repeat([]byte{3}, 7), 256},
	}
	if diff := cmp.Diff(want, f.Tensors); diff != "" {
		t.Errorf("tensors (-want +got):\n%s", diff)
	}
	for _, w := range want {
		if got, ok := f.Tensor(w.Name); !ok || !cmp.Equal(got, w) {
			t.Errorf("Tensor(%q) = %v, %v", w.Name, got, ok)
		}
	}
	if f.Alignment != 64 || f.Version != 3 || f.DataStart%64 != 0 || len(data)%64 != 0 || f.DataStart+64+192+64 != len(data) {
		t.Errorf("alignment %d, version %d, data at %d of %d", f.Alignment, f.Version, f.DataStart, len(data))
	}
	if _, ok := f.Tensor("d"); ok {
		t.Error("Tensor(d) was found")
	}
}

// A getter gives the value that was written, or an error that names the key, for each pair of getter and type.
func TestValues(t *testing.T) {
	f, err := Parse(small(t))
	if err != nil {
		t.Fatal(err)
	}
	getters := map[string]func(Value) (any, error){
		"Int":    func(v Value) (any, error) { return v.Int() },
		"Float":  func(v Value) (any, error) { return v.Float() },
		"Bool":   func(v Value) (any, error) { return v.Bool() },
		"Text":   func(v Value) (any, error) { return v.Text() },
		"Texts":  func(v Value) (any, error) { return v.Texts() },
		"Ints":   func(v Value) (any, error) { return v.Ints() },
		"Floats": func(v Value) (any, error) { return v.Floats() },
		"Bools":  func(v Value) (any, error) { return v.Bools() },
	}
	type result map[string]any // getter that works -> value
	for key, want := range map[string]result{
		"general.architecture": {"Text": "gemma2"},
		"u8":                   {"Int": 200},
		"i8":                   {"Int": -7},
		"u16":                  {"Int": 60000},
		"i16":                  {"Int": -300},
		"u32":                  {"Int": 1 << 31},
		"i32":                  {"Int": -5},
		"u64":                  {}, // above every int
		"i64":                  {"Int": math.MinInt64},
		"f32":                  {"Float": 0.5},
		"f64":                  {"Float": 0.1},
		"yes":                  {"Bool": true},
		"no":                   {"Bool": false},
		"texts":                {"Texts": []string{"a", "", "▁b"}},
		"ints":                 {"Ints": []int{-1, 2}},
		"floats":               {"Floats": []float32{1.5, -2}},
		"bools":                {"Bools": []bool{true, false}},
		"bytes":                {}, // would grow eightfold
		"none":                 {"Ints": []int{}},
		"bad":                  {},
		"bads":                 {},
	} {
		v, ok := f.Lookup(key)
		if !ok {
			t.Fatalf("Lookup(%q): not found", key)
		}
		got := result{}
		for name, get := range getters {
			x, err := get(v)
			if err == nil {
				got[name] = x
			} else if !strings.Contains(err.Error(), "metadata "+key) || !strings.Contains(err.Error(), "want ") {
				t.Errorf("%s of %s: error %q does not say key and what it wants", name, key, err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (%s): getters that work (-want +got):\n%s", key, v.Type(), diff)
		}
	}
	if _, ok := f.Lookup("missing"); ok {
		t.Error("Lookup(missing) was found")
	}
}

// Version 2 has the layout of 3. A file cut anywhere is refused, but for the padding after the last tensor.
func TestParseVersion2AndEveryPrefix(t *testing.T) {
	data := small(t)
	binary.LittleEndian.PutUint32(data[4:], 2)
	f, err := Parse(data)
	if err != nil || f.Version != 2 {
		t.Fatalf("version 2: %v", err)
	}
	end := f.DataStart + 64 + 192 + 7
	for n := range data {
		if _, err := Parse(data[:n:n]); (err == nil) != (n >= end) {
			t.Errorf("the first %d bytes (the last tensor ends at %d): err = %v", n, end, err)
		}
	}
}

// Each rule is named when it alone is broken.
func TestParseNamesTheFault(t *testing.T) {
	base := build(t, []Entry{{"k", true}, {alignmentKey, uint32(32)}}, source("a", F32, 0, 1), source("b", F32, 0, 1))
	change := func(old, new string) []byte {
		if !bytes.Contains(base, []byte(old)) {
			t.Fatalf("no %q in the file", old)
		}
		return append(bytes.Replace(base, []byte(old), []byte(new), 1), make([]byte, 64)...)
	}
	const info = "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // one element of F32
	for _, c := range []struct{ old, new, want string }{
		{"k\x07\x00\x00\x00\x01", "k\x07\x00\x00\x00\x07", "metadata k: want a bool of 0 or 1, found 7"},
		{"alignment\x04\x00\x00\x00\x20", "alignment\x04\x00\x00\x00\x28", "want a power of two from 8 to 65536 as u32, found 40"},
		{"alignment\x04\x00\x00\x00\x20", "alignment\x04\x00\x00\x00\x04", "want a power of two from 8 to 65536 as u32, found 4"},
		{"alignment\x04", "alignment\x05", "as u32, found 32 as i32"},
		{info + "\x20", info + "\x28", "tensor b: want an offset of a multiple of 32, found 40"},
		{info + "\x20", info + "\x00", "tensors a and b: found in the same bytes"},
	} {
		if _, err := Parse(change(c.old, c.new)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: err = %v, want one with %q", c.new, err, c.want)
		}
	}
	if _, err := Parse(change("k", "k")); err != nil {
		t.Error(err)
	}
}

// No flipped bit makes Parse, or the use of what it accepted, panic.
func TestParseSurvivesEveryFlippedBit(t *testing.T) {
	data := small(t)
	for i := range data {
		for bit := range 8 {
			data[i] ^= 1 << bit
			if f, err := Parse(data); err == nil {
				readAll(t, f)
			}
			data[i] ^= 1 << bit
		}
	}
}

func TestRowSize(t *testing.T) {
	for typ, want := range map[Type]int{F32: 1024, F16: 512, BF16: 512, Q8_0: 272, I8: 256, 2: 144, 14: 210, 23: 136, 40: 144, 41: 36} {
		if got, err := typ.RowSize(256); got != want || err != nil {
			t.Errorf("%v.RowSize(256) = %d, %v, want %d", typ, got, err, want)
		}
	}
	for typ, n := range map[Type]int{Q8_0: 33, 14: 128, 4: 32, 31: 32, 250: 32, 28: 1 << 61, F32: math.MaxInt} {
		if got, err := typ.RowSize(n); err == nil {
			t.Errorf("%v.RowSize(%d) = %d, want an error", typ, n, got)
		}
	}
}

// A file that ends after its counts costs nothing: they are held to what follows before anything is allocated.
func TestParseAllocatesForWhatIsThere(t *testing.T) {
	for _, counts := range [][2]uint64{{maxTensors, 0}, {0, maxKeys}} {
		data := binary.LittleEndian.AppendUint32([]byte(magic), version)
		data = binary.LittleEndian.AppendUint64(data, counts[0])
		data = append(binary.LittleEndian.AppendUint64(data, counts[1]), make([]byte, 12)...)
		var err error
		if used := memory.Allocated(func() { _, err = Parse(data) }); used > 1<<14 || err == nil {
			t.Errorf("%d tensors and %d keys announced in %d bytes: allocated %d bytes, err = %v", counts[0], counts[1], len(data), used, err)
		}
	}
}

// As many keys and tensors as Parse takes stay within four times the file and 8 MiB.
func TestParseMemory(t *testing.T) {
	var entries []Entry
	for i := range maxKeys {
		entries = append(entries, Entry{fmt.Sprint(i), uint8(1)})
	}
	var tensors []Source
	for i := range maxTensors {
		tensors = append(tensors, source(fmt.Sprint(i), I8, 0, 1))
	}
	full := build(t, append(entries[:maxKeys-1:maxKeys-1], Entry{alignmentKey, uint32(8)}), tensors...)
	texts := build(t, []Entry{{"t", make([]string, 1<<20)}})
	for name, c := range map[string]struct {
		data []byte
		ok   bool
	}{
		"limit":         {full, true},
		"keys over":     {build(t, append(entries, Entry{"x", "y"})), false},
		"tensors over":  {build(t, []Entry{{alignmentKey, uint32(8)}}, append(tensors, source("x", I8, 0, 1))...), false},
		"empty strings": {texts, true},
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
	paths, err := filepath.Glob("testdata/gguf/malformed/*.gguf")
	if err != nil || len(paths) == 0 {
		f.Fatalf("%d seeds, err = %v", len(paths), err)
	}
	for _, path := range paths {
		f.Add(golden.Read(f, path))
	}
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		var file *File
		var err error
		used := memory.Allocated(func() {
			if file, err = Parse(data); err == nil {
				readAll(t, file)
			}
		})
		if limit := uint64(64*len(data) + 8<<20); used > limit {
			t.Fatalf("parsing %d bytes allocated %d bytes, limit %d", len(data), used, limit)
		}
	})
}

// readAll uses everything that Parse returned: what it accepts must be safe to use.
func readAll(t testing.TB, f *File) {
	t.Helper()
	sum := 0
	for _, x := range f.Tensors {
		got, ok := f.Tensor(x.Name)
		if size, err := x.size(math.MaxInt); !ok || err != nil || len(got.Data) != size {
			t.Fatalf("Tensor(%q): found %v, %d bytes, want %d, err = %v", x.Name, ok, len(got.Data), size, err)
		}
		for _, b := range got.Data {
			sum += int(b)
		}
	}
	for _, v := range f.Metadata {
		if got, ok := f.Lookup(v.Key); !ok || got.Type() != v.Type() {
			t.Fatalf("Lookup(%q) = %v, %v", v.Key, got.Type(), ok)
		}
		worked := 0
		for _, err := range []error{
			second(v.Int()), second(v.Float()), second(v.Bool()), second(v.Text()),
			second(v.Texts()), second(v.Ints()), second(v.Floats()), second(v.Bools()),
		} {
			if err == nil {
				worked++
			}
		}
		if worked > 1 {
			t.Fatalf("%s (%s): %d getters work, want at most one", v.Key, v.Type(), worked)
		}
	}
}

func second[T any](_ T, err error) error { return err }
