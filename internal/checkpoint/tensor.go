package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/blocks"
	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// Tensor is one parameter as its source stores it.
type Tensor struct {
	Name  string // as in GGUF
	Type  gguf.Type
	Shape []int  // [rows, columns] of a matrix, [values] of a norm
	Data  []byte // row-major, little-endian; aliases the source
	// Scales are those of int8 weights with one per row, of type I8; nil for all other types.
	Scales []float32
}

func fromGGUF(t gguf.Tensor) Tensor {
	return Tensor{Name: t.Name, Type: t.Type, Shape: t.Shape, Data: t.Data}
}

// decodable says whether Row knows the type: floats, and all blocks of package blocks.
func decodable(t gguf.Type) bool {
	_, isBlocks := blocks.Of(uint32(t))
	return isBlocks || slices.Contains(floats, t)
}

var floats = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16}

// Columns is the length of a row.
func (t *Tensor) Columns() int { return t.Shape[len(t.Shape)-1] }

// Row decodes row r into dst, whose length must be Columns. A norm is one row. Values are exact for floats, for blocks ggml's
// own (package blocks). The error names a type that this version can't decode.
func (t *Tensor) Row(dst []float32, r int) error {
	if t.Scales != nil {
		t.intRow(dst, r)
		return nil
	}
	size, err := t.Type.RowSize(len(dst))
	if err != nil || !decodable(t.Type) {
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
	default:
		f, _ := blocks.Of(uint32(t.Type))
		f.Decode(dst, row)
	}
	return nil
}

func (t *Tensor) unsupported() error {
	var names []string
	for _, typ := range floats {
		names = append(names, typ.String())
	}
	for _, n := range blocks.Numbers() {
		names = append(names, gguf.Type(n).String())
	}
	return fmt.Errorf("tensor %s: this version reads weights of %s, found %v; convert the model from one of these",
		t.Name, strings.Join(names, ", "), t.Type)
}

// Runnable reports the first tensor whose type this version can list but not decode, and which types it can.
func (c *Checkpoint) Runnable() error {
	var names []string
	for name, t := range c.Tensors {
		if t.Scales == nil && !decodable(t.Type) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	t := c.Tensors[slices.Min(names)]
	return t.unsupported()
}
