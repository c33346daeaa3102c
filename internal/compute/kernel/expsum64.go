package kernel

import "math"

// wide are the constants of expSum64, in the order in which assembly finds them: log2 e, what rounds, ln 2 in two parts, 1/11!,
// 1/10! and so on to 1/0!, the least exponent.
var wide = [17]float64{
	0x1.71547652b82fep+0, 0x1.8p52, 0x1.62e42feep-1, 0x1.a39ef35793c76p-33,
	1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320, 1. / 5040, 1. / 720, 1. / 120, 1. / 24, 1. / 6, 1. / 2, 1, 1,
	wideMin,
}

// wideMin is the exponent below which expSum64 takes nothing: 10^-38 of the largest.
const wideMin = -87

// ExpSum64 is the sum of e^(x-max) in float64, for x <= max, in 8 lanes: element i belongs to lane i mod 8, and the lanes are added
// (0+4)+(2+6), (1+5)+(3+7), then these two. Pad with -Inf. A term's error is below 1e-13 of it; those below e^-87 are left out.
func ExpSum64(x []float32, max float32) float64 {
	mustPad("ExpSum64", x)
	return active.expSum64(x, max)
}

// expSum64Ref defines ExpSum64. Adding wide[1] rounds x*log2 e to an integer, half to even, which then stands in the lowest bits.
func expSum64Ref(x []float32, max float32) float64 {
	var lanes [8]float64
	for i, v := range x {
		y := float64(v) - float64(max)
		if !(y >= wideMin) {
			continue
		}
		shifted := float64(y*wide[0]) + wide[1]
		n := shifted - wide[1]
		r := math.FMA(-n, wide[2], y)
		r = math.FMA(-n, wide[3], r)
		p := wide[4]
		for _, c := range wide[5:16] {
			p = math.FMA(p, r, c)
		}
		lanes[i%8] += float64(p * math.Float64frombits((math.Float64bits(shifted)+1023)<<52))
	}
	return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}
