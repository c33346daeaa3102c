package quant

import (
	"math"
	"slices"
	"sync"
)

// nestedBlock is the number of scales that share a scale of theirs.
const nestedBlock = 256

// nest rounds scales as bitsandbytes' double quantisation does: less their mean, in blocks of 256 by the largest magnitude, to
// the nearest number of its 8-bit table; and gives back what those bytes mean.
func nest(scales []float32) (codes []uint8, absmax []float32, offset float32) {
	if len(scales) == 0 {
		return nil, nil, 0
	}
	sum := 0.0
	for _, v := range scales {
		sum += float64(v)
	}
	offset = float32(sum / float64(len(scales)))
	numbers, round := nestedTable()
	codes = make([]uint8, len(scales))
	for first := 0; first < len(scales); first += nestedBlock {
		block := scales[first:min(first+nestedBlock, len(scales))]
		for i := range block {
			block[i] -= offset
		}
		top := round.block(codes[first:], block)
		absmax = append(absmax, top)
		for i := range block {
			block[i] = float32(numbers[codes[first+i]]*top) + offset
		}
	}
	return codes, absmax, offset
}

// nestedTable has 256 numbers: of each decade 10^-i, i from 0 to 6, 2^(6-i) numbers of each sign, the midpoints of as many
// equal parts of [0.1, 1] in it; 0 and 1 (8-bit dynamic data type: Dettmers, arXiv:1511.04561, as bitsandbytes has it).
var nestedTable = sync.OnceValues(func() ([]float32, *rounding) {
	numbers := []float32{0, 1}
	for i := range 7 {
		n := 1 << (6 - i)
		decade := math.Pow(10, float64(-i))
		edge := func(j int) float32 { return float32(0.1 + 0.9*float64(j)/float64(n)) }
		for j := range n {
			v := float32(decade * float64((edge(j)+edge(j+1))/2))
			numbers = append(numbers, v, -v)
		}
	}
	slices.Sort(numbers)
	return numbers, newRounding(numbers)
})
