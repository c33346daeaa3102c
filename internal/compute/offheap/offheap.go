// Package offheap allocates large blocks of zeroed memory outside Go's heap: weights made at load time, KV pages, scratch.
//
// The garbage collector neither scans nor counts them, and on Linux they may lie in huge pages. A block must hold no Go
// pointers. It must not know what the bytes mean.
package offheap

import "unsafe"

// Block is one allocation, aligned to at least 64 bytes. Free it once, when nothing uses its bytes any more.
type Block struct {
	bytes   []byte
	release func() error // nil: there is nothing to give back
}

// Alloc returns a zeroed block of size bytes, or an error when the system has no memory for it.
func Alloc(size int) (*Block, error) {
	if size == 0 {
		return &Block{}, nil
	}
	raw, err := system(size)
	if err != nil {
		return nil, err
	}
	return &Block{bytes: raw[:size:size], release: func() error { return release(raw) }}, nil
}

// Bytes is the block's memory.
func (b *Block) Bytes() []byte { return b.bytes }

// Floats is the block's memory as float32s.
func (b *Block) Floats() []float32 { return Cast[float32](b.bytes) }

// Free gives the memory back. Later use of it is forbidden: it faults, or with a Slab's blocks finds another's bytes.
func (b *Block) Free() error {
	release := b.release
	b.release, b.bytes = nil, nil
	if release == nil {
		return nil
	}
	return release()
}

// Cast sees bytes as elements of T, a fixed-size number type, in the machine's own (little-endian) order. The bytes must be
// aligned for T: it panics otherwise. A rest of less than one element is cut off.
func Cast[T ~int8 | ~uint8 | ~uint16 | ~int32 | ~uint32 | ~float32](b []byte) []T {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if len(b) < size {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%uintptr(size) != 0 {
		panic("offheap.Cast: bytes are not aligned")
	}
	return unsafe.Slice((*T)(p), len(b)/size)
}
