package systemgemma

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
)

// Verify reads a file of the product's own format whole and compares every byte with its checksums. The error names the
// tensor, or the metadata, that differs. progress, if not nil, is told bytes done and in all.
func Verify(ctx context.Context, path string, progress func(done, total int64)) error {
	c, err := openCheckpoint(path, checkpoint.Open)
	if err != nil {
		return err
	}
	return errors.Join(c.Verify(ctx, progress), c.Close())
}

// Array is a named array of float32, row-major.
type Array struct {
	Name  string
	Shape []int
	Data  []float32 // as many as the product of Shape
}

// WriteSafetensors writes arrays as a safetensors file, which numpy, torch and others read.
func WriteSafetensors(w io.Writer, arrays []Array) error {
	tensors := make([]safetensors.Tensor, len(arrays))
	for i, a := range arrays {
		n := 1
		for _, d := range a.Shape {
			n *= d
		}
		if n != len(a.Data) {
			return fmt.Errorf("array %s: want %d values for shape %v, found %d", a.Name, n, a.Shape, len(a.Data))
		}
		data := make([]byte, 4*n)
		if _, err := binary.Encode(data, binary.LittleEndian, a.Data); err != nil {
			return fmt.Errorf("array %s: %w", a.Name, err)
		}
		tensors[i] = safetensors.Tensor{Name: a.Name, DType: "F32", Shape: a.Shape, Data: data}
	}
	return safetensors.Write(w, tensors, nil)
}
