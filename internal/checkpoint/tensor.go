package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// Tensor is one parameter as its source stores it.
type Tensor struct {
	Name  string // as in GGUF
	Type  gguf.Type
	Shape []int  // [rows, columns] of a matrix, [values] of a norm
	Data  []byte // row-major, little-endian; aliases the source
}

func fromGGUF(t gguf.Tensor) Tensor {
	return Tensor{Name: t.Name, Type: t.Type, Shape: t.Shape, Data: t.Data}
}

// Types that Row decodes.
var runnable = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_1}

// Columns is the length of a row.
func (t *Tensor) Columns() int { return t.Shape[len(t.Shape)-1] }

// Row decodes row r into dst, whose length must be Columns. A norm is one row. The values are exact: each is a float32,
// and Q8_0, Q4_0 and Q4_1 are a product that is exact and, in Q4_1, a sum, rounded once. The error names a type that this version can't decode.
func (t *Tensor) Row(dst []float32, r int) error {
	size, err := t.Type.RowSize(len(dst))
	if err != nil || !slices.Contains(runnable, t.Type) {
		return t.unsupported()
	}
	row := t.Data[r*size : (r+1)*size]
	switch t.Type {
	case gguf.F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:]))
		}
	case gguf.F16:
		for i := range dst {
			dst[i] = half.FromF16(binary.LittleEndian.Uint16(row[2*i:]))
		}
	case gguf.BF16:
		for i := range dst {
			dst[i] = half.FromBF16(binary.LittleEndian.Uint16(row[2*i:]))
		}
	case gguf.Q8_0:
		for b := 0; b < len(dst); b += 32 {
			block := row[b/32*34:]
			scale := half.FromF16(binary.LittleEndian.Uint16(block))
			for i, q := range block[2:34] {
				dst[b+i] = scale * float32(int8(q))
			}
		}
	case gguf.Q4_0:
		for b := 0; b < len(dst); b += 32 {
			block := row[b/32*18:]
			scale := half.FromF16(binary.LittleEndian.Uint16(block))
			for i, q := range block[2:18] {
				dst[b+i] = scale * float32(int(q&15)-8)
				dst[b+i+16] = scale * float32(int(q>>4)-8)
			}
		}
	case gguf.Q4_1:
		for b := 0; b < len(dst); b += 32 {
			block := row[b/32*20:]
			scale, least := half.FromF16(binary.LittleEndian.Uint16(block)), half.FromF16(binary.LittleEndian.Uint16(block[2:]))
			for i, q := range block[4:20] {
				dst[b+i] = float32(scale*float32(q&15)) + least
				dst[b+i+16] = float32(scale*float32(q>>4)) + least
			}
		}
	}
	return nil
}

func (t *Tensor) unsupported() error {
	names := make([]string, len(runnable))
	for i, typ := range runnable {
		names[i] = typ.String()
	}
	return fmt.Errorf("tensor %s: this version reads weights of %s, found %v; convert the model from one of these",
		t.Name, strings.Join(names, ", "), t.Type)
}

// Runnable reports the first tensor whose type this version can list but not decode, and which types it can.
func (c *Checkpoint) Runnable() error {
	var names []string
	for name, t := range c.Tensors {
		if !slices.Contains(runnable, t.Type) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	t := c.Tensors[slices.Min(names)]
	return t.unsupported()
}
