package safetensors

// DType is the element type of a tensor, by its name in the header.
type DType string

// The types that other packages name. Parse knows all of the format.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
	I8   DType = "I8"
	I32  DType = "I32"
)

var sizes = map[DType]int{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
	"I16": 2, "U16": 2, "F16": 2, "BF16": 2,
	"I32": 4, "U32": 4, "F32": 4,
	"I64": 8, "U64": 8, "F64": 8, "C64": 8,
}

// Size is the number of bytes of one element, 0 for an unknown type.
func (d DType) Size() int { return sizes[d] }
