//go:build !noasm

package kernel

// Each function is the reference of the same name; the slices are as long as the table's callers make them.

// neonMath holds the constants of math.go in the order that math_neon_arm64.s expects.
//
//lint:ignore U1000 only assembly reads it
var neonMath = [16]float32{
	log2E, ln2Hi, ln2Lo, expC0,
	expC1, expC2, expC3, expC4,
	expC5, expMin, geluC, geluC3,
	40, 1, 2, 0.5,
}

//go:noescape
func absMaxNeon(x []float32) uint32

//go:noescape
func quantizeNeon(dst *uint8, stride int, x []float32, scale float32)

//go:noescape
func sumSquaresNeon(x []float32) float32

//go:noescape
func scaleMulNeon(dst, x, w []float32, s float32)

//go:noescape
func addNeon(x, y []float32)

//go:noescape
func rotateNeon(lo, hi, cos, sin []float32)

//go:noescape
func softcapNeon(x []float32, scale, limit float32)

//go:noescape
func geluMulNeon(dst, gate, up []float32)

//go:noescape
func maxNeon(x []float32) float32

//go:noescape
func expSumNeon(x []float32, max float32) float32
