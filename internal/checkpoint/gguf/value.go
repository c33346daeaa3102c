package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// ValueType is the type of a metadata value: the number that a file stores for it.
type ValueType uint32

// The types of the format.
const (
	Uint8 ValueType = iota
	Int8
	Uint16
	Int16
	Uint32
	Int32
	Float32
	Bool
	String
	Array
	Uint64
	Int64
	Float64
)

var valueNames = [...]string{"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"}

// sizes of one value in bytes; 0 where it varies.
var valueSizes = [...]int{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

func (t ValueType) String() string {
	if t < ValueType(len(valueNames)) {
		return valueNames[t]
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Value is one metadata value. Its bytes alias the file and were checked by Parse; each method decodes them as one Go type
// and returns an error that names key, wanted and found type when the file has another.
type Value struct {
	Key   string
	typ   ValueType
	array bool // of elements of typ
	n     int  // elements; 1 unless array
	raw   []byte
}

// Type describes the value's type, for example "u32" or "array of 4 string".
func (v Value) Type() string {
	if v.array {
		return fmt.Sprintf("array of %d %v", v.n, v.typ)
	}
	return v.typ.String()
}

// Len is the number of elements of an array, 1 for anything else.
func (v Value) Len() int { return v.n }

func (v Value) mismatch(want string) error {
	return fmt.Errorf("metadata %s: want %s, found %s", v.Key, want, v.Type())
}

// Int decodes a whole number of any width that fits an int.
func (v Value) Int() (int, error) {
	if v.array { // not decoded: it may be as large as the file
		return 0, v.mismatch("a whole number")
	}
	list, err := v.ints("a whole number below 2^63")
	if err != nil {
		return 0, err
	}
	return list[0], nil
}

// Float decodes an f32 or f64.
func (v Value) Float() (float64, error) {
	switch {
	case !v.array && v.typ == Float32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(v.raw))), nil
	case !v.array && v.typ == Float64:
		return math.Float64frombits(binary.LittleEndian.Uint64(v.raw)), nil
	}
	return 0, v.mismatch("f32 or f64")
}

// Bool decodes a bool.
func (v Value) Bool() (bool, error) {
	if v.array || v.typ != Bool {
		return false, v.mismatch("bool")
	}
	return v.raw[0] == 1, nil
}

// Text decodes a string of UTF-8.
func (v Value) Text() (string, error) {
	if v.array || v.typ != String {
		return "", v.mismatch("string")
	}
	if !utf8.Valid(v.raw) {
		return "", fmt.Errorf("metadata %s: want UTF-8, found %.40q", v.Key, v.raw)
	}
	return string(v.raw), nil
}

// Texts decodes an array of strings of UTF-8.
func (v Value) Texts() ([]string, error) {
	if !v.array || v.typ != String {
		return nil, v.mismatch("array of string")
	}
	all := string(v.raw) // one copy: the parts share it
	list := make([]string, v.n)
	at := 0
	for i := range list {
		n := int(binary.LittleEndian.Uint64(v.raw[at:]))
		list[i] = all[at+8 : at+8+n]
		at += 8 + n
		if !utf8.ValidString(list[i]) {
			return nil, fmt.Errorf("metadata %s[%d]: want UTF-8, found %.40q", v.Key, i, list[i])
		}
	}
	return list, nil
}

// Ints decodes an array of whole numbers of 32 or 64 bits that fit an int: narrower ones would grow by more than twice.
func (v Value) Ints() ([]int, error) {
	const want = "array of whole numbers of 32 or 64 bits, below 2^63"
	if !v.array || v.typ >= ValueType(len(valueSizes)) || valueSizes[v.typ] < 4 {
		return nil, v.mismatch(want)
	}
	return v.ints(want)
}

// Floats decodes an array of f32.
func (v Value) Floats() ([]float32, error) {
	if !v.array || v.typ != Float32 {
		return nil, v.mismatch("array of f32")
	}
	list := make([]float32, v.n)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(v.raw[4*i:]))
	}
	return list, nil
}

// Bools decodes an array of bool.
func (v Value) Bools() ([]bool, error) {
	if !v.array || v.typ != Bool {
		return nil, v.mismatch("array of bool")
	}
	list := make([]bool, v.n)
	for i := range list {
		list[i] = v.raw[i] == 1
	}
	return list, nil
}

// ints decodes n whole numbers; want describes them in the error.
func (v Value) ints(want string) ([]int, error) {
	at := binary.LittleEndian
	var one func(b []byte) int64
	switch v.typ {
	case Uint8:
		one = func(b []byte) int64 { return int64(b[0]) }
	case Int8:
		one = func(b []byte) int64 { return int64(int8(b[0])) }
	case Uint16:
		one = func(b []byte) int64 { return int64(at.Uint16(b)) }
	case Int16:
		one = func(b []byte) int64 { return int64(int16(at.Uint16(b))) }
	case Uint32:
		one = func(b []byte) int64 { return int64(at.Uint32(b)) }
	case Int32:
		one = func(b []byte) int64 { return int64(int32(at.Uint32(b))) }
	case Uint64, Int64:
		one = func(b []byte) int64 { return int64(at.Uint64(b)) }
	default:
		return nil, v.mismatch(want)
	}
	size := valueSizes[v.typ]
	list := make([]int, v.n)
	for i := range list {
		x := one(v.raw[i*size:])
		if list[i] = int(x); int64(list[i]) != x || v.typ == Uint64 && x < 0 {
			return nil, v.mismatch(want)
		}
	}
	return list, nil
}
