// Package blocks owns the quantised element types of GGUF: how 32 or 256 weights of a row lie in a block of bytes, and what
// each weight is worth. Whatever decodes blocks stands here, type beside type; gguf.Type.EncodeRow encodes some of them.
//
// Every type has one meaning: a weight is scale*q, or scale*q + min, where q is a small integer and scale and min belong to
// 16 or 32 consecutive weights. In the K types both are products of a half-precision number and a small integer. All these
// products are exact in float32 (d has 11 significant bits, its factor at most 7, q at most 7, and no type has more than 24
// together), so that a value is rounded once, in the sum, and equals ggml's bit for bit.
//
// It must not know files, tensors or the layouts of package quant.
package blocks

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// MaxElements is the largest number of weights in a block.
const MaxElements = 256

// Format describes one type.
type Format struct {
	Name     string
	Elements int  // weights in a block, consecutive in a row
	Bytes    int  // of a block
	Group    int  // consecutive weights that share a scale: 16 or 32
	Bits     int  // 4: codes are 0 to 15, or -8 to 7 where there are no minima; 8: within -128 to 127
	Half     bool // scales and minima are half-precision numbers; else they are products, exact in float32
	Mins     bool // a weight is scale*q + min

	unpack func(*Block, []byte)
}

// Block is the content of one block, each weight with its own code and each group with its own scale. What a type does not
// have (further codes, minima) keeps its former value.
type Block struct {
	Codes        [MaxElements]byte // int8
	Scales, Mins [MaxElements / 16]float32
}

// formats has the types by their number in a file.
var formats = map[uint32]*Format{
	2:  {"Q4_0", 32, 18, 32, 4, true, false, unpackQ40},
	3:  {"Q4_1", 32, 20, 32, 4, true, true, unpackQ41},
	6:  {"Q5_0", 32, 22, 32, 8, true, false, unpackQ50},
	7:  {"Q5_1", 32, 24, 32, 8, true, true, unpackQ51},
	8:  {"Q8_0", 32, 34, 32, 8, true, false, unpackQ80},
	10: {"Q2_K", 256, 84, 16, 8, false, true, unpackQ2K},
	11: {"Q3_K", 256, 110, 16, 8, false, false, unpackQ3K},
	12: {"Q4_K", 256, 144, 32, 4, false, true, unpackQ4K},
	13: {"Q5_K", 256, 176, 32, 8, false, true, unpackQ5K},
	14: {"Q6_K", 256, 210, 16, 8, false, false, unpackQ6K},
	20: {"IQ4_NL", 32, 18, 32, 8, true, false, unpackIQ4NL},
	23: {"IQ4_XS", 256, 136, 32, 8, false, false, unpackIQ4XS},
}

// Of returns the type that files number so, false if it is none of blocks that this package knows.
func Of(number uint32) (*Format, bool) {
	f, ok := formats[number]
	return f, ok
}

// Numbers lists the numbers of all types, ascending.
func Numbers() []uint32 {
	list := make([]uint32, 0, len(formats))
	for n := range formats {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// Unpack takes one block of f.Bytes bytes apart.
func (f *Format) Unpack(b *Block, block []byte) {
	if len(block) != f.Bytes {
		panic(fmt.Sprintf("blocks.Unpack: %s: want %d bytes, found %d", f.Name, f.Bytes, len(block)))
	}
	f.unpack(b, block)
}

// Decode writes the weights of a row, len(dst) a multiple of f.Elements, from its blocks. A scale that is an infinity or a
// NaN makes weights that are none either.
func (f *Format) Decode(dst []float32, row []byte) {
	if len(dst)%f.Elements != 0 || len(row) != len(dst)/f.Elements*f.Bytes {
		panic(fmt.Sprintf("blocks.Decode: %s: %d bytes for %d weights", f.Name, len(row), len(dst)))
	}
	var b Block
	for ; len(dst) > 0; dst, row = dst[f.Elements:], row[f.Bytes:] {
		f.unpack(&b, row[:f.Bytes])
		for first := 0; first < f.Elements; first += f.Group {
			out, codes, scale := dst[first:first+f.Group], b.Codes[first:first+f.Group], b.Scales[first/f.Group]
			if !f.Mins {
				for i, q := range codes {
					out[i] = scale * float32(int8(q))
				}
				continue
			}
			least := b.Mins[first/f.Group]
			for i, q := range codes {
				out[i] = float32(scale*float32(int8(q))) + least
			}
		}
	}
}

// f16 reads a half-precision number.
func f16(b []byte) float32 { return half.FromF16(binary.LittleEndian.Uint16(b)) }

// Codes are made eight at a time, one in each byte of a uint64.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

func load(b []byte) uint64     { return binary.LittleEndian.Uint64(b) }
func store(b []byte, x uint64) { binary.LittleEndian.PutUint64(b, x) }

// less subtracts n, at most 128, from each byte of x, each at most 127.
func less(x, n uint64) uint64 { return (x | highs) - n*ones ^ highs }

// spread gives byte i of the result bit i of b.
func spread(b byte) uint64 {
	const diagonal = 0x8040201008040201
	return (uint64(b)*ones&diagonal + 0x7f*ones) >> 7 & ones
}
