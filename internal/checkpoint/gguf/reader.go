package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/checkpoint/checked"
)

// reader walks over a file. Every length is compared with what remains before anything is sliced or allocated.
type reader struct {
	data []byte
	at   int
}

func (r *reader) remaining() int { return len(r.data) - r.at }

// take returns the next n bytes, which alias the file. n may be any number that a file declares.
func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(r.remaining()) {
		return nil, fmt.Errorf("at byte %d: want %d bytes, found %d; the file is cut short or not GGUF", r.at, n, r.remaining())
	}
	b := r.data[r.at : r.at+int(n) : r.at+int(n)]
	r.at += int(n)
	return b, nil
}

func (r *reader) uint32() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) uint64() (uint64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// string returns the bytes of a length-prefixed string.
func (r *reader) string() ([]byte, error) {
	n, err := r.uint64()
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

// count reads a number of things that take at least size bytes each, and are at most limit.
func (r *reader) count(what string, size, limit int) (int, error) {
	n, err := r.uint64()
	if err != nil {
		return 0, err
	}
	if n > uint64(limit) {
		return 0, fmt.Errorf("%s: want at most %d, found %d", what, limit, n)
	}
	if n > uint64(r.remaining()/size) {
		return 0, fmt.Errorf("%s: want at most %d (what fits into the rest of the file), found %d", what, r.remaining()/size, n)
	}
	return int(n), nil
}

// name reads a key or a tensor's name.
func (r *reader) name() (string, error) {
	b, err := r.string()
	switch {
	case err != nil:
		return "", err
	case len(b) == 0 || len(b) > maxName || !utf8.Valid(b):
		return "", fmt.Errorf("want 1 to %d bytes of UTF-8, found %d bytes %.40q", maxName, len(b), b)
	}
	return string(b), nil
}

// value reads the type and the bytes of a value.
func (r *reader) value(key string) (Value, error) {
	t, err := r.uint32()
	v := Value{Key: key, typ: ValueType(t), n: 1}
	if err == nil && v.typ == Array {
		v.array = true
		if t, err = r.uint32(); err == nil {
			v.typ = ValueType(t)
			v.n, err = r.count("array length", 1, math.MaxInt)
		}
	}
	switch {
	case err != nil:
		return v, err
	case v.typ == Array:
		return v, errors.New("found an array of arrays, which no model has")
	case v.typ >= ValueType(len(valueSizes)):
		return v, fmt.Errorf("found unknown value %v", v.typ)
	}
	if v.raw, err = r.elements(v); err != nil {
		return v, err
	}
	if v.typ == Bool {
		for _, b := range v.raw {
			if b > 1 {
				return v, fmt.Errorf("want a bool of 0 or 1, found %d", b)
			}
		}
	}
	return v, nil
}

// elements returns the bytes of v's elements: of a lone string its text, of an array of strings their lengths too.
func (r *reader) elements(v Value) ([]byte, error) {
	if size := valueSizes[v.typ]; size > 0 {
		n, ok := checked.Product(r.remaining(), v.n, size)
		if !ok {
			return nil, fmt.Errorf("want %d values of %d bytes, found %d bytes", v.n, size, r.remaining())
		}
		return r.take(uint64(n))
	}
	if !v.array {
		return r.string()
	}
	begin := r.at
	for range v.n {
		if _, err := r.string(); err != nil {
			return nil, err
		}
	}
	return r.data[begin:r.at:r.at], nil
}
