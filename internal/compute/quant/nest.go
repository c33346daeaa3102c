package quant

import (
	"math"
	"slices"
	"sync"
)

// nestedBlock is the number of scales that share a scale of theirs.
const nestedBlock = 256

// nest rounds scales as bitsandbytes' double quantisation does: less their mean, in blocks of 256 by the largest magnitude, each
// first to one of 65536 equal steps from -1 to 1, then to the nearest number of an 8-bit table. It leaves in scales what those
// bytes mean, and returns what would be stored.
func nest(scales []float32) (codes []uint8, absmax []float32, offset float32) {
	sum := 0.0
	for _, v := range scales {
		sum += float64(v)
	}
	offset = float32(sum / float64(max(1, len(scales))))
	numbers, nearest := nestedTable()
	for first := 0; first < len(scales); first += nestedBlock {
		block := scales[first:min(first+nestedBlock, len(scales))]
		var top float32
		for i := range block {
			block[i] -= offset
			top = max(top, float32(math.Abs(float64(block[i]))))
		}
		absmax = append(absmax, top)
		for i, v := range block {
			code := uint8(0)
			if top != 0 {
				v *= 1 / top
				step := float32(int(float32((v+1)*0.5*65535) + 0.5))
				code = nearest.code(float32(step/65535*2) - 1)
			}
			codes = append(codes, code)
			block[i] = float32(numbers[code]*top) + offset
		}
	}
	return codes, absmax, offset
}

// nestedTable has 256 numbers: of each decade 10^-i, i from 0 to 6, 2^(6-i) numbers of each sign, the midpoints of as many
// equal parts of [0.1, 1] times that; 0 and 1 (8-bit dynamic data type: Dettmers, arXiv:1511.04561, as bitsandbytes has it).
// The edges of parts count from the nearer end, in float32, as torch.linspace does, since each bit shows.
var nestedTable = sync.OnceValues(func() ([]float32, *rounding) {
	numbers := []float32{0, 1}
	for i := range 7 {
		n := 1 << (6 - i)
		decade, step := float32(math.Pow(10, float64(-i))), (1-float32(0.1))/float32(n)
		edge := func(j int) float32 {
			if j < (n+1)/2 {
				return float32(float64(float32(0.1)) + float64(float64(step)*float64(j)))
			}
			return float32(1 - float64(float64(step)*float64(n-j)))
		}
		for j := range n {
			v := float32((edge(j)+edge(j+1))/2) * decade
			numbers = append(numbers, v, -v)
		}
	}
	slices.Sort(numbers)
	return numbers, newRounding(numbers)
})
