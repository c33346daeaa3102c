package gguf

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/checkpoint/checked"
)

// parseTensors reads the tensors' descriptions, then gives each its data.
func (f *File) parseTensors(r *reader, n int) error {
	f.Tensors = make([]Tensor, 0, n)
	f.names = make(map[string]int, n)
	offsets := make([]uint64, n)
	for i := range n {
		name, err := r.name()
		if err != nil {
			return fmt.Errorf("tensor %d: name: %w", i, err)
		}
		if _, twice := f.names[name]; twice {
			return fmt.Errorf("tensor %.100s: found twice", name)
		}
		t := Tensor{Name: name}
		if t.Shape, t.Type, offsets[i], err = r.tensorInfo(); err != nil {
			return fmt.Errorf("tensor %.100s: %w", name, err)
		}
		f.names[name] = i
		f.Tensors = append(f.Tensors, t)
	}
	f.DataStart = len(r.data)
	if n == 0 {
		return nil
	}
	padding := -r.at & (f.Alignment - 1)
	if _, err := r.take(uint64(padding)); err != nil {
		return fmt.Errorf("padding before the tensor data: %w", err)
	}
	f.DataStart = r.at
	return f.place(r.data[r.at:], offsets)
}

func (r *reader) tensorInfo() (shape []int, t Type, offset uint64, err error) {
	n, err := r.uint32()
	if err != nil {
		return nil, 0, 0, err
	}
	if n < 1 || n > maxDims {
		return nil, 0, 0, fmt.Errorf("want 1 to %d dimensions, found %d", maxDims, n)
	}
	shape = make([]int, n)
	for i := range shape {
		d, err := r.uint64()
		if err != nil {
			return nil, 0, 0, err
		}
		if d < 1 || d > math.MaxInt {
			return nil, 0, 0, fmt.Errorf("dimension %d: want 1 to 2^63-1, found %d", i, d)
		}
		shape[len(shape)-1-i] = int(d)
	}
	typ, err := r.uint32()
	if err != nil {
		return nil, 0, 0, err
	}
	offset, err = r.uint64()
	return shape, Type(typ), offset, err
}

// place gives each tensor its part of body and checks that no two share a byte.
func (f *File) place(body []byte, offsets []uint64) error {
	order := make([]int, len(f.Tensors))
	for i := range f.Tensors {
		order[i] = i
		t := &f.Tensors[i]
		size, err := t.size(len(body))
		if err != nil {
			return fmt.Errorf("tensor %.100s: %w", t.Name, err)
		}
		begin := offsets[i]
		if begin%uint64(f.Alignment) != 0 {
			return fmt.Errorf("tensor %.100s: want an offset of a multiple of %d, found %d", t.Name, f.Alignment, begin)
		}
		if begin > uint64(len(body)-size) {
			return fmt.Errorf("tensor %.100s: want %d bytes at offset %d, found %d bytes of tensor data; get the file again", t.Name, size, begin, len(body))
		}
		t.Offset = int(begin)
		t.Data = body[begin : begin+uint64(size) : begin+uint64(size)]
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(offsets[a], offsets[b]) })
	for i := 1; i < len(order); i++ {
		a, b := order[i-1], order[i]
		if offsets[a]+uint64(len(f.Tensors[a].Data)) > offsets[b] {
			return fmt.Errorf("tensors %.100s and %.100s: found in the same bytes", f.Tensors[a].Name, f.Tensors[b].Name)
		}
	}
	return nil
}

// size is the number of bytes that t's type and shape take, at most limit.
func (t *Tensor) size(limit int) (int, error) {
	last := len(t.Shape) - 1
	row, err := t.Type.RowSize(t.Shape[last])
	if err != nil {
		return 0, err
	}
	size, ok := checked.Product(limit, append(slices.Clone(t.Shape[:last]), row)...)
	if !ok {
		return 0, fmt.Errorf("want the bytes of %v %v, found %d bytes of tensor data; get the file again", t.Type, t.Shape, limit)
	}
	return size, nil
}
