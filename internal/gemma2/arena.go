package gemma2

import (
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

// arena hands out the pieces of a model's scratch memory from one block outside Go's heap. It runs twice over the same
// calls: first to measure, then to hand out.
type arena struct {
	block *offheap.Block // nil while measuring
	used  int
}

// bytes returns n zeroed bytes, aligned to 64; nil while measuring.
func (a *arena) bytes(n int) []byte {
	at := a.used
	a.used += (n + 63) &^ 63
	if a.block == nil {
		return nil
	}
	return a.block.Bytes()[at : at+n : at+n]
}

func (a *arena) floats(n int) []float32 { return offheap.Cast[float32](a.bytes(4 * n)) }

// sliceOf returns n zeroed elements; nil while measuring. T holds no pointers.
func sliceOf[T any](a *arena, n int) []T {
	var one T
	b := a.bytes(n * int(unsafe.Sizeof(one)))
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// rows returns n rows of width floats, padded.
func (a *arena) rows(n, width int) rows {
	return rows{data: a.floats(n * pad16(width)), stride: pad16(width)}
}

func asBytes(f []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}
