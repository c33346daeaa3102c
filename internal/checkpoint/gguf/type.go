package gguf

import (
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/checkpoint/checked"
)

// Type is the element type of a tensor: the number that a file stores for it.
type Type uint32

// The types that this program reads, writes or names. Size knows every type of the format.
const (
	F32    Type = 0
	F16    Type = 1
	Q4_0   Type = 2
	Q4_1   Type = 3
	Q5_0   Type = 6
	Q5_1   Type = 7
	Q8_0   Type = 8
	Q2_K   Type = 10
	Q3_K   Type = 11
	Q4_K   Type = 12
	Q5_K   Type = 13
	Q6_K   Type = 14
	IQ4_NL Type = 20
	IQ4_XS Type = 23
	I8     Type = 24
	I32    Type = 26
	BF16   Type = 30
)

// block is how a type stores elements: in blocks of a fixed number, along a row.
type block struct {
	name            string
	elements, bytes int
}

var blocks = map[Type]block{
	0: {"F32", 1, 4}, 1: {"F16", 1, 2}, 2: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20},
	6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24}, 8: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 40},
	10: {"Q2_K", 256, 84}, 11: {"Q3_K", 256, 110}, 12: {"Q4_K", 256, 144}, 13: {"Q5_K", 256, 176},
	14: {"Q6_K", 256, 210}, 15: {"Q8_K", 256, 292}, 16: {"IQ2_XXS", 256, 66}, 17: {"IQ2_XS", 256, 74},
	18: {"IQ3_XXS", 256, 98}, 19: {"IQ1_S", 256, 50}, 20: {"IQ4_NL", 32, 18}, 21: {"IQ3_S", 256, 110},
	22: {"IQ2_S", 256, 82}, 23: {"IQ4_XS", 256, 136}, 24: {"I8", 1, 1}, 25: {"I16", 1, 2},
	26: {"I32", 1, 4}, 27: {"I64", 1, 8}, 28: {"F64", 1, 8}, 29: {"IQ1_M", 256, 56},
	30: {"BF16", 1, 2}, 34: {"TQ1_0", 256, 54}, 35: {"TQ2_0", 256, 66}, 39: {"MXFP4", 32, 17},
	40: {"NVFP4", 64, 36}, 41: {"Q1_0", 128, 18},
}

// removed lists types that old files have and no current program writes.
var removed = map[Type]string{4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8"}

// String is the type's name as llama.cpp prints it.
func (t Type) String() string {
	if b, ok := blocks[t]; ok {
		return b.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// RowSize is the number of bytes that a row of n elements takes. The error says why there is none.
func (t Type) RowSize(n int) (int, error) {
	b, ok := blocks[t]
	switch {
	case ok && n%b.elements == 0:
		if size, ok := checked.Product(math.MaxInt, n/b.elements, b.bytes); ok {
			return size, nil
		}
		return 0, fmt.Errorf("%v: want rows of less than 2^63 bytes, found %d elements", t, n)
	case ok:
		return 0, fmt.Errorf("%v: want rows of a multiple of %d elements, found %d", t, b.elements, n)
	case removed[t] != "":
		return 0, fmt.Errorf("type %d (%s) was removed from the format; convert the model again", uint32(t), removed[t])
	default:
		return 0, fmt.Errorf("found unknown type %d", uint32(t))
	}
}
