package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"unicode/utf8"
)

// Entry is one metadata value to write. Value is a bool, string, sized number, or a slice of one of these.
type Entry struct {
	Key   string
	Value any
}

// Source is one tensor to write. Write is called once, in the order of the tensors, and must write exactly the bytes that
// type and shape take: data can be made while the file grows, so that memory stays small.
type Source struct {
	Name  string
	Type  Type
	Shape []int // row-major
	Write func(w io.Writer) error
}

var valueTypes = map[reflect.Kind]ValueType{
	reflect.Uint8: Uint8, reflect.Int8: Int8, reflect.Uint16: Uint16, reflect.Int16: Int16, reflect.Uint32: Uint32,
	reflect.Int32: Int32, reflect.Float32: Float32, reflect.Bool: Bool, reflect.String: String, reflect.Uint64: Uint64,
	reflect.Int64: Int64, reflect.Float64: Float64,
}

// Write writes a file: AppendHeader, then the data of each tensor, padded to the alignment (also after the last).
func Write(w io.Writer, entries []Entry, tensors []Source) error {
	header, err := AppendHeader(nil, entries, tensors)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	alignment, err := alignmentOf(entries)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		size, err := sourceSize(t)
		if err != nil {
			return err
		}
		c := &counter{w: w}
		if err := t.Write(c); err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if c.n != size {
			return fmt.Errorf("tensor %s: want %d bytes of %v %v, found %d written", t.Name, size, t.Type, t.Shape, c.n)
		}
		if _, err := w.Write(make([]byte, -size&(alignment-1))); err != nil {
			return err
		}
	}
	return nil
}

// AppendHeader appends all that comes before the tensor data: metadata and tensor list, in the given order, and padding.
// Its length depends on the lengths of keys, names, strings and slices only, so values can be replaced when they are known.
// The entry general.alignment (uint32) sets the alignment; without it, it is 32.
func AppendHeader(b []byte, entries []Entry, tensors []Source) ([]byte, error) {
	alignment, err := alignmentOf(entries)
	if err != nil {
		return nil, err
	}
	begin, le := len(b), binary.LittleEndian
	b = le.AppendUint32(append(b, magic...), version)
	b = le.AppendUint64(b, uint64(len(tensors)))
	b = le.AppendUint64(b, uint64(len(entries)))
	seen := make(map[string]bool, len(entries)+len(tensors))
	for _, e := range entries {
		if err := checkName(e.Key, seen); err != nil {
			return nil, fmt.Errorf("metadata %q: %w", e.Key, err)
		}
		if b, err = appendValue(appendString(b, e.Key), e.Value); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", e.Key, err)
		}
	}
	clear(seen)
	offset := 0
	for _, t := range tensors {
		size, err := sourceSize(t)
		if err == nil {
			err = checkName(t.Name, seen)
		}
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		b = le.AppendUint32(appendString(b, t.Name), uint32(len(t.Shape)))
		for _, d := range slices.Backward(t.Shape) {
			b = le.AppendUint64(b, uint64(d))
		}
		b = le.AppendUint64(le.AppendUint32(b, uint32(t.Type)), uint64(offset))
		offset += size + -size&(alignment-1)
	}
	return append(b, make([]byte, -(len(b)-begin)&(alignment-1))...), nil
}

// checkName holds a key or a tensor's name to what Parse accepts.
func checkName(name string, seen map[string]bool) error {
	if len(name) == 0 || len(name) > maxName || !utf8.ValidString(name) {
		return fmt.Errorf("want a name of 1 to %d bytes of UTF-8, found %d bytes", maxName, len(name))
	}
	if seen[name] {
		return fmt.Errorf("want a name once, found it twice")
	}
	seen[name] = true
	return nil
}

func alignmentOf(entries []Entry) (int, error) {
	for _, e := range entries {
		if e.Key != alignmentKey {
			continue
		}
		a, ok := e.Value.(uint32)
		if !ok || a < 8 || a > maxAlignment || a&(a-1) != 0 {
			return 0, fmt.Errorf("metadata %s: want a power of two from 8 to %d as uint32, found %v", alignmentKey, maxAlignment, e.Value)
		}
		return int(a), nil
	}
	return defaultAlignment, nil
}

func sourceSize(t Source) (int, error) {
	if len(t.Shape) < 1 || len(t.Shape) > maxDims || slices.Min(t.Shape) < 1 {
		return 0, fmt.Errorf("want 1 to %d dimensions of at least 1, found %v", maxDims, t.Shape)
	}
	return (&Tensor{Type: t.Type, Shape: t.Shape}).size(math.MaxInt / 2)
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// appendValue appends type and bytes of a value.
func appendValue(b []byte, value any) ([]byte, error) {
	v := reflect.ValueOf(value)
	if !v.IsValid() {
		return nil, fmt.Errorf("want a value, found nil")
	}
	kind, array := v.Kind(), v.Kind() == reflect.Slice
	if array {
		kind = v.Type().Elem().Kind()
	}
	t, ok := valueTypes[kind]
	if !ok {
		return nil, fmt.Errorf("want a bool, string, sized number or a slice of one, found %T", value)
	}
	le := binary.LittleEndian
	if array {
		b = le.AppendUint32(b, uint32(Array))
	}
	b = le.AppendUint32(b, uint32(t))
	if array {
		b = le.AppendUint64(b, uint64(v.Len()))
	}
	switch {
	case t != String:
		return binary.Append(b, le, value)
	case !array:
		return appendString(b, v.String()), nil
	}
	for i := range v.Len() {
		b = appendString(b, v.Index(i).String())
	}
	return b, nil
}

// counter counts the bytes that pass.
type counter struct {
	w io.Writer
	n int
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += n
	return n, err
}
