package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// encoders round a row of floats to the types that EncodeRow writes. x is a whole number of blocks, dst its bytes.
var encoders = map[Type]func(dst []byte, x []float32){
	F32: encodeF32, F16: encodeF16, BF16: encodeBF16,
	Q8_0: encodeQ8, Q4_0: encodeQ4, Q4_1: encodeQ41, Q5_0: encodeQ5, Q5_1: encodeQ51,
}

// Encodable lists the types that EncodeRow writes.
var Encodable = []Type{F32, F16, BF16, Q8_0, Q5_1, Q5_0, Q4_1, Q4_0}

// EncodeRow writes x as one row of type t to dst, which has t.RowSize(len(x)) bytes. The bytes are those of ggml's
// quantize_row_*_ref, compiled without fused multiply-add. x must be finite.
func (t Type) EncodeRow(dst []byte, x []float32) error {
	encode, ok := encoders[t]
	if !ok {
		return fmt.Errorf("want a type that this program writes (%v), found %v", Encodable, t)
	}
	size, err := t.RowSize(len(x))
	if err != nil {
		return err
	}
	if len(dst) != size {
		return fmt.Errorf("%v: want %d bytes for %d elements, found %d", t, size, len(x), len(dst))
	}
	encode(dst, x)
	return nil
}

func encodeF32(dst []byte, x []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
}

func encodeF16(dst []byte, x []float32) {
	for i, v := range x {
		putF16(dst[2*i:], v)
	}
}

func encodeBF16(dst []byte, x []float32) {
	for i, v := range x {
		binary.LittleEndian.PutUint16(dst[2*i:], half.ToBF16(v))
	}
}

func putF16(dst []byte, v float32) { binary.LittleEndian.PutUint16(dst, half.ToF16(v)) }

const blockLen = 32

// encodeQ8: scale = absmax/127; int8, halves away from zero. The quotient is taken from the scale before it is rounded to half
// precision, here and below.
func encodeQ8(dst []byte, x []float32) {
	for ; len(x) > 0; dst, x = dst[34:], x[blockLen:] {
		scale := float32(math.Abs(float64(extreme(x[:blockLen])))) / 127
		inverse := reciprocal(scale)
		putF16(dst, scale)
		for i, v := range x[:blockLen] {
			dst[2+i] = byte(int8(whole(float32(math.Round(float64(v*inverse))), -127, 127)))
		}
	}
}

// encodeQ4: the element of largest magnitude becomes 0 of 0..15, which stands for -8.
func encodeQ4(dst []byte, x []float32) {
	for ; len(x) > 0; dst, x = dst[18:], x[blockLen:] {
		scale := extreme(x[:blockLen]) / -8
		inverse := reciprocal(scale)
		putF16(dst, scale)
		for i := range blockLen / 2 {
			lo, hi := whole(float32(x[i]*inverse)+8.5, 0, 15), whole(float32(x[i+16]*inverse)+8.5, 0, 15)
			dst[2+i] = byte(lo | hi<<4)
		}
	}
}

// encodeQ41: from the least element to the greatest in 15 steps.
func encodeQ41(dst []byte, x []float32) {
	for ; len(x) > 0; dst, x = dst[20:], x[blockLen:] {
		least, most := bounds(x[:blockLen])
		scale := (most - least) / 15
		inverse := reciprocal(scale)
		putF16(dst, scale)
		putF16(dst[2:], least)
		for i := range blockLen / 2 {
			lo, hi := whole(float32((x[i]-least)*inverse)+0.5, 0, 15), whole(float32((x[i+16]-least)*inverse)+0.5, 0, 15)
			dst[4+i] = byte(lo | hi<<4)
		}
	}
}

// encodeQ5: as Q4_0 with 32 steps; the fifth bits stand together.
func encodeQ5(dst []byte, x []float32) {
	for ; len(x) > 0; dst, x = dst[22:], x[blockLen:] {
		scale := extreme(x[:blockLen]) / -16
		inverse := reciprocal(scale)
		putF16(dst, scale)
		put5(dst[2:], func(i int) int { return whole(float32(x[i]*inverse)+16.5, 0, 31) })
	}
}

// encodeQ51: as Q4_1 with 31 steps.
func encodeQ51(dst []byte, x []float32) {
	for ; len(x) > 0; dst, x = dst[24:], x[blockLen:] {
		least, most := bounds(x[:blockLen])
		scale := (most - least) / 31
		inverse := reciprocal(scale)
		putF16(dst, scale)
		putF16(dst[2:], least)
		put5(dst[4:], func(i int) int { return whole(float32((x[i]-least)*inverse)+0.5, 0, 31) })
	}
}

// put5 writes 32 integers of 5 bits: their fifth bits, bit i of element i, then the low nibbles.
func put5(dst []byte, q func(i int) int) {
	var fifth uint32
	for i := range blockLen / 2 {
		lo, hi := q(i), q(i+16)
		dst[4+i] = byte(lo&15 | hi&15<<4)
		fifth |= uint32(lo>>4)<<i | uint32(hi>>4)<<(i+16)
	}
	binary.LittleEndian.PutUint32(dst, fifth)
}

// extreme is the element of largest magnitude, the first of several, with its sign.
func extreme(x []float32) (v float32) {
	for _, e := range x {
		if math.Abs(float64(e)) > math.Abs(float64(v)) {
			v = e
		}
	}
	return v
}

func bounds(x []float32) (least, most float32) {
	least, most = x[0], x[0]
	for _, e := range x {
		if e < least {
			least = e
		}
		if e > most {
			most = e
		}
	}
	return least, most
}

func reciprocal(scale float32) float32 {
	if scale == 0 {
		return 0
	}
	return 1 / scale
}

// whole cuts off v's fraction within [lo, hi]. What is no number, as 0 times the reciprocal of a subnormal scale, is lo.
func whole(v float32, lo, hi int) int {
	switch {
	case v >= float32(hi):
		return hi
	case v > float32(lo):
		return int(v)
	}
	return lo
}
