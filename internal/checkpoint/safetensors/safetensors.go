// Package safetensors owns the safetensors file format: a JSON header that names tensors, then their bytes.
//
// Parse makes every check of the reference reader (no gap, no overlap, no trailing byte, sizes by checked arithmetic) before
// it hands out a slice, and works on bytes that are mapped or in memory without copying tensor data.
//
// It must not know what a tensor is for, nor what a checkpoint of several files is.
package safetensors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/checkpoint/checked"
)

// Limits of a header. The first is the reference reader's; the others bound the memory of Parse and lie far above any model.
const (
	maxHeader   = 100_000_000
	maxTensors  = 1 << 16
	maxMetadata = 1 << 14
	maxDims     = 8
)

// Tensor is one named array. Data is row-major and little-endian; it aliases the bytes that Parse was given.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // empty for a scalar
	Data  []byte
}

// File is a parsed file.
type File struct {
	Tensors  []Tensor          // in the order of their data
	Metadata map[string]string // the header's __metadata__; nil when absent
	byName   []int             // indices into Tensors, sorted by name
}

// Tensor returns the tensor of that name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := slices.BinarySearchFunc(f.byName, name, func(i int, name string) int { return cmp.Compare(f.Tensors[i].Name, name) })
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[f.byName[i]], true
}

// Parse reads the header of a whole file and checks that its tensors cover the rest of data exactly.
func Parse(data []byte) (*File, error) {
	header, body, err := split(data)
	if err != nil {
		return nil, err
	}
	entries, metadata, err := parseHeader(header)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	f := &File{Metadata: metadata, Tensors: make([]Tensor, len(entries)), byName: make([]int, len(entries))}
	end := 0
	for i, e := range entries {
		if e.begin != end {
			return nil, fmt.Errorf("tensor %q: want data from byte %d on (no gap, no overlap), found %d", e.name, end, e.begin)
		}
		if err := e.check(len(body)); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", e.name, err)
		}
		end = e.end
		f.Tensors[i] = Tensor{Name: e.name, DType: e.dtype, Shape: e.shape, Data: body[e.begin:e.end:e.end]}
		f.byName[i] = i
	}
	if end != len(body) {
		return nil, fmt.Errorf("want %d bytes of tensor data (from the header), found %d; get the file again", end, len(body))
	}
	slices.SortFunc(f.byName, func(a, b int) int { return cmp.Compare(f.Tensors[a].Name, f.Tensors[b].Name) })
	for i := 1; i < len(f.byName); i++ {
		if name := f.Tensors[f.byName[i]].Name; name == f.Tensors[f.byName[i-1]].Name {
			return nil, fmt.Errorf("tensor %q: found twice", name)
		}
	}
	return f, nil
}

// split takes a file apart into header and tensor data.
func split(data []byte) (header, body []byte, err error) {
	if len(data) < 8 {
		return nil, nil, fmt.Errorf("want 8 bytes of header length, found %d bytes; this is no safetensors file", len(data))
	}
	n := binary.LittleEndian.Uint64(data)
	switch rest := uint64(len(data) - 8); {
	case n > maxHeader:
		return nil, nil, fmt.Errorf("header length: want at most %d, found %d; this is no safetensors file", maxHeader, n)
	case n > rest:
		return nil, nil, fmt.Errorf("header length: want at most %d (the rest of the file), found %d; get the file again", rest, n)
	}
	header, body = data[8:8+n], data[8+n:]
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, fmt.Errorf("header: want a JSON object, found %.16q", header)
	}
	if !utf8.Valid(header) {
		return nil, nil, fmt.Errorf("header: want UTF-8, found other bytes")
	}
	return header, body, nil
}

// check compares an entry's range with its type and shape, and with the size of the tensor data.
func (e *entry) check(size int) error {
	if e.end < e.begin || e.end > size {
		return fmt.Errorf("data_offsets: want a range within %d bytes, found [%d, %d]", size, e.begin, e.end)
	}
	if e.dtype.Size() == 0 {
		return fmt.Errorf("dtype: found unknown %q", string(e.dtype))
	}
	want, ok := checked.Product(math.MaxInt, append(slices.Clone(e.shape), e.dtype.Size())...)
	if !ok || want != e.end-e.begin {
		return fmt.Errorf("want the bytes of %s %s, found a range of %d bytes", e.dtype, dims(e.shape), e.end-e.begin)
	}
	return nil
}

func dims(shape []int) string { return strings.ReplaceAll(fmt.Sprint(shape), " ", "x") }
