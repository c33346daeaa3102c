package gguf

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// Rows of floats, encoded, are the bytes of the reference writer: those of the sample, and of the whole models where they are.
func TestGoldenEncodeRow(t *testing.T) {
	dir := golden.Dir(t, "gguf")
	n := 0
	check := func(name string, typ Type, columns int, source, want []byte) {
		size, err := typ.RowSize(columns)
		if err != nil {
			t.Fatal(err)
		}
		row, got := make([]float32, columns), make([]byte, size)
		for r := range len(want) / size {
			for k := range row {
				row[k] = math.Float32frombits(binary.LittleEndian.Uint32(source[4*(r*len(row)+k):]))
			}
			if err := typ.EncodeRow(got, row); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want[r*size:(r+1)*size]) {
				t.Errorf("%v: %s row %d: %x, want %x", typ, name, r, got, want[r*size:(r+1)*size])
			}
			n++
		}
	}
	sample, err := safetensors.Parse(golden.Read(t, filepath.Join("testdata", "gguf", "encode.safetensors")))
	if err != nil {
		t.Fatal(err)
	}
	source, _ := sample.Tensor("f32")
	for _, typ := range Encodable[1:] {
		want, ok := sample.Tensor(strings.ToLower(typ.String()))
		if !ok {
			t.Fatalf("sample: %v is missing", typ)
		}
		check("sample", typ, source.Shape[1], source.Data, want.Data)
	}
	if _, err := os.Stat(filepath.Join(dir, "f32.gguf")); err == nil { // whole models
		parse := func(name string) *File {
			f, err := Parse(golden.Read(t, filepath.Join(dir, name+".gguf")))
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		source := parse("f32")
		for _, typ := range Encodable {
			model := parse(strings.ToLower(typ.String()))
			for _, s := range source.Tensors {
				if want, ok := model.Tensor(s.Name); len(s.Shape) == 2 && ok && want.Type == typ {
					check(s.Name, typ, s.Shape[1], s.Data, want.Data)
				}
			}
		}
	}
	golden.Count(t, n)
}

// Any finite floats give blocks of finite scales, also where a scale's reciprocal is infinite, and nothing panics.
func TestEncodeRowTakesAnyFiniteFloat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := rapid.SampledFrom(Encodable).Draw(t, "type")
		x := rapid.SliceOfN(rapid.OneOf(rapid.Float32Range(-3, 3), rapid.SampledFrom([]float32{0, 0x1p-149, -0x1p-149, 0x1p-130, 65000, -65000})), 64, 64).Draw(t, "row")
		size, err := typ.RowSize(len(x))
		if err != nil {
			t.Fatal(err)
		}
		dst := bytes.Repeat([]byte{0xA5}, size)
		if err := typ.EncodeRow(dst, x); err != nil {
			t.Fatal(err)
		}
		again := make([]byte, size)
		if err := typ.EncodeRow(again, x); err != nil || !bytes.Equal(dst, again) {
			t.Fatalf("%v: a byte was not written (%v)", typ, err)
		}
	})
}

func TestEncodeRowRefuses(t *testing.T) {
	for name, err := range map[string]error{
		"type that is only read": Type(12).EncodeRow(make([]byte, 144), make([]float32, 256)),
		"part of a block":        Q8_0.EncodeRow(make([]byte, 34), make([]float32, 33)),
		"short destination":      Q4_0.EncodeRow(make([]byte, 17), make([]float32, 32)),
	} {
		if err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}
