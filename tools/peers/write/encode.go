package main

import (
	"encoding/binary"
	"math"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// encoding is a way to store weights: blocks of consecutive columns.
type encoding struct {
	name           string
	typ            gguf.Type
	fileType       uint32 // general.file_type: what most tensors are (llama.cpp's LLAMA_FTYPE)
	columns, bytes int
	encode         func(dst []byte, x []float32)
}

var bf16 = encoding{"bf16", gguf.BF16, 32, 1, 2, func(dst []byte, x []float32) {
	binary.LittleEndian.PutUint16(dst, half.ToBF16(x[0])) // exact
}}

// encodings are those of GGUF. Blocks are rounded as llama.cpp's quantize does.
var encodings = []encoding{bf16, {"q8_0", gguf.Q8_0, 7, 32, 34, encodeQ8}, {"q4_0", gguf.Type(2), 2, 32, 18, encodeQ4}}

// encodeQ8: scale = absmax/127 in half precision, then 32 int8, halves away from zero.
func encodeQ8(dst []byte, x []float32) {
	top := float32(0)
	for _, v := range x {
		top = max(top, float32(math.Abs(float64(v))))
	}
	scale, inverse := top/127, float32(0)
	if scale != 0 {
		inverse = 1 / scale
	}
	binary.LittleEndian.PutUint16(dst, half.ToF16(scale))
	for i, v := range x {
		dst[2+i] = byte(int8(math.Round(float64(v * inverse))))
	}
}

// encodeQ4: scale = (the value of largest magnitude)/-8 in half precision, then 32 numbers from 0 to 15 that stand for -8 to 7,
// column i low and column i+16 high in byte i.
func encodeQ4(dst []byte, x []float32) {
	largest := float32(0)
	for _, v := range x {
		if math.Abs(float64(v)) > math.Abs(float64(largest)) {
			largest = v
		}
	}
	scale, inverse := largest/-8, float32(0)
	if scale != 0 {
		inverse = 1 / scale
	}
	binary.LittleEndian.PutUint16(dst, half.ToF16(scale))
	for i := range 16 {
		dst[2+i] = nibble(x[i]*inverse) | nibble(x[i+16]*inverse)<<4
	}
}

func nibble(x float32) byte { return byte(min(15, int8(x+8.5))) }
