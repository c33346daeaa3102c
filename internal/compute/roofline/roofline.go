// Package roofline measures what bounds the engine on this machine: how fast memory can be read, and how many int8
// multiplications and additions the best instruction of the kernels in use can do (S. Williams et al., "Roofline", 2009).
//
// It owns the loops that do nothing else: reading memory in order, and multiplying in registers, without a load. Their time is
// the caller's business. It must not know a model, a kernel's data or a clock.
package roofline

import (
	"encoding/binary"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
)

// multiplier is one machine instruction, or one sequence, that multiplies int8 and adds in int32.
type multiplier struct {
	set         string // of kernels that multiply with it
	instruction string
	lanes       int64 // int32 sums of one instruction, each of four products
	// run does n rounds on operands that are all 1, in enough independent sums to hide the latency, and returns the total of
	// lane 0: four for each instruction.
	run func(n int) (lane int32)
}

// maxRounds keeps the total of lane 0 within int32; Int8 does rounds of them, some 200 µs, and fewer in Go.
const (
	maxRounds = 1 << 20
	rounds    = 1 << 16
	roundsGo  = 1 << 12
)

// portable is what the reference kernels can do.
var portable = multiplier{set: "reference", instruction: "Go", lanes: 1, run: func(n int) int32 {
	var sum [8]int32
	a, b := int8(1), uint8(1)
	for range n {
		for i := range sum {
			sum[i] += int32(a)*int32(b) + int32(a)*int32(b) + int32(a)*int32(b) + int32(a)*int32(b)
		}
	}
	var total int32
	for _, s := range sum {
		total += s
	}
	return total
}}

// best is the multiplier of the kernels in use.
func best() *multiplier {
	for i := range multipliers {
		if multipliers[i].set == kernel.Name() {
			return &multipliers[i]
		}
	}
	return &portable
}

// Instruction names what Int8 measures.
func Instruction() string { return best().instruction }

// Int8 runs the instruction that the kernels in use multiply with, in registers only, for well below a millisecond, and returns
// the number of operations that were done: a multiplication and an addition are two.
func Int8() (ops int64) {
	b, n := best(), rounds
	if b == &portable {
		n = roundsGo
	}
	return 2 * b.lanes * int64(b.run(n))
}

// Read reads all of b once, in order, and returns the exclusive or of its 64-bit words. len(b) is a multiple of 512.
func Read(b []byte) uint64 {
	if len(b)%512 != 0 {
		panic("roofline.Read: want a multiple of 512 bytes")
	}
	if len(b) == 0 {
		return 0
	}
	return read(b)
}

// readGo is Read in Go.
func readGo(b []byte) uint64 {
	var x [4]uint64
	for ; len(b) >= 32; b = b[32:] {
		x[0] ^= binary.LittleEndian.Uint64(b)
		x[1] ^= binary.LittleEndian.Uint64(b[8:])
		x[2] ^= binary.LittleEndian.Uint64(b[16:])
		x[3] ^= binary.LittleEndian.Uint64(b[24:])
	}
	return x[0] ^ x[1] ^ x[2] ^ x[3]
}
