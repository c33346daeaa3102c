// Package gguf owns the GGUF container: typed metadata, then tensors, in one file.
//
// Parse reads versions 2 and 3 from bytes that are mapped or in memory. Every count, length, offset and type is checked
// before use; values and tensor data alias the input. Append and Write make files, with the same bytes for the same input.
//
// It must not know what a key or a tensor is for.
package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	magic   = "GGUF"
	version = 3 // that Write makes; 2 has the same layout

	maxName      = 65535 // bytes, as the format says
	maxDims      = 4     // as ggml
	maxAlignment = 65536

	// Counts far above any model's, which bound the memory of Parse. Smallest entries in bytes: key and tensor.
	maxKeys, minKey       = 1 << 14, 8 + 4 + 1
	maxTensors, minTensor = 1 << 16, 8 + 4 + 8 + 4 + 8

	defaultAlignment = 32
	alignmentKey     = "general.alignment"
)

// Tensor is one array. Data aliases the bytes that Parse was given.
type Tensor struct {
	Name  string
	Type  Type
	Shape []int // row-major: the row length comes last (a file stores it first)
	Data  []byte
	// Offset is where Data begins, counted from the file's DataStart; a multiple of its Alignment.
	Offset int
}

// File is a parsed file.
type File struct {
	Version   int
	Alignment int
	Metadata  []Value  // in the order of the file
	Tensors   []Tensor // in the order of the file
	DataStart int      // byte at which tensor data begins; the file's length when it has no tensors
	keys      map[string]int
	names     map[string]int
}

// Lookup returns the metadata value of key.
func (f *File) Lookup(key string) (Value, bool) {
	i, ok := f.keys[key]
	if !ok {
		return Value{}, false
	}
	return f.Metadata[i], true
}

// Tensor returns the tensor of that name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.names[name]
	if !ok {
		return Tensor{}, false
	}
	return f.Tensors[i], true
}

// Parse reads a whole file. Bytes after the last tensor are allowed, as every reader does.
func Parse(data []byte) (*File, error) {
	r := &reader{data: data}
	v, err := parseVersion(r)
	if err != nil {
		return nil, err
	}
	numTensors, err := r.count("tensor count", minTensor, maxTensors)
	if err != nil {
		return nil, err
	}
	numKeys, err := r.count("metadata count", minKey, maxKeys)
	if err != nil {
		return nil, err
	}
	f := &File{Version: v, Alignment: defaultAlignment}
	if err := f.parseMetadata(r, numKeys); err != nil {
		return nil, err
	}
	if err := f.parseTensors(r, numTensors); err != nil {
		return nil, err
	}
	return f, nil
}

func parseVersion(r *reader) (int, error) {
	b, err := r.take(8)
	if err != nil || string(b[:4]) != magic {
		return 0, fmt.Errorf("want a GGUF file (first bytes %q), found %.8q", magic, r.data[:min(8, len(r.data))])
	}
	switch v := binary.LittleEndian.Uint32(b[4:]); {
	case v == 2 || v == 3:
		return int(v), nil
	case v != 0 && v&0xffff == 0:
		return 0, errors.New("want a little-endian GGUF file, found a big-endian one; convert the model again")
	case v == 1:
		return 0, errors.New("want GGUF version 2 or 3, found 1 (of 2023); convert the model again")
	default:
		return 0, fmt.Errorf("want GGUF version 2 or 3, found %d", v)
	}
}

func (f *File) parseMetadata(r *reader, n int) error {
	f.Metadata = make([]Value, 0, n)
	f.keys = make(map[string]int, n)
	for i := range n {
		key, err := r.name()
		if err != nil {
			return fmt.Errorf("metadata entry %d: key: %w", i, err)
		}
		if _, twice := f.keys[key]; twice {
			return fmt.Errorf("metadata %.100s: found twice", key)
		}
		v, err := r.value(key)
		if err != nil {
			return fmt.Errorf("metadata %.100s: %w", key, err)
		}
		f.keys[key] = i
		f.Metadata = append(f.Metadata, v)
	}
	v, ok := f.Lookup(alignmentKey)
	if !ok {
		return nil
	}
	a, err := v.Int()
	if err != nil || v.typ != Uint32 || a < 8 || a > maxAlignment || a&(a-1) != 0 {
		return fmt.Errorf("metadata %s: want a power of two from 8 to %d as u32, found %d as %s", alignmentKey, maxAlignment, a, v.Type())
	}
	f.Alignment = a
	return nil
}
