//go:build amd64 && !noasm

package kernel

// Each function below is the reference's of the same name, bit for bit; the .s files give the loops that they equal. The
// suffix is the level of the instructions. Slices are as long as the callers of the table make them.

// constants are those of math.go, in the order of math_avx2_amd64.h and math_avx512_amd64.h.
//
//lint:ignore U1000 only assembly reads it
var constants = [16]float32{log2E, ln2Hi, ln2Lo, expC0, expC1, expC2, expC3, expC4, expC5, expMin, 1, 2, 40, 0.5, geluC, geluC3}

// negativeSumsAVX2 is what mulW8CAVX2 wants as wSum for more than two tokens: terms[r] = -(sum of row r's negative weights).
//
//go:noescape
func negativeSumsAVX2(terms *int32, w *byte, k4 int, rowSum *int32)

//go:noescape
func mulW8CAVX2(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int)

//go:noescape
func boundStripAVX2(blocks *StripBlock, w *byte, k16 int) (spread, square int)

//go:noescape
func boundPanelAVX2(blocks *PanelBlock, panel *uint8, k16 int) (pair, square int)

//go:noescape
func mulBoundedAVX2(out *float32, outStride int, w *byte, wScale *float32, strip *StripBlock, panel *uint8, blocks *PanelBlock, k16 int, aScale *float32, tokens int, ahead *byte, lines int)

// mulW8CAVXVNNI wants the activations plus 128.
//
//go:noescape
func mulW8CAVXVNNI(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int)

// mulW8CAVX512VNNI wants the activations plus 128.
//
//go:noescape
func mulW8CAVX512VNNI(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int)

//go:noescape
func mulF32AVX2(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

//go:noescape
func mulBF16AVX2(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

//go:noescape
func mulF16AVX2(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

//go:noescape
func mulF32AVX512(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

//go:noescape
func mulBF16AVX512(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

//go:noescape
func mulF16AVX512(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

//go:noescape
func mulRoundedAVX2(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

//go:noescape
func mulRoundedAVX512(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

// mulRoundedAVX512BF16 wants a panel of packPairs.
//
//go:noescape
func mulRoundedAVX512BF16(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

//go:noescape
func absMaxAVX2(x []float32) uint32

//go:noescape
func quantizeAVX2(dst *uint8, stride int, x []float32, scale float32)

// quantizeBiasedAVX2 adds 128 to each byte, for products that want unsigned activations.
//
//go:noescape
func quantizeBiasedAVX2(dst *uint8, stride int, x []float32, scale float32)

//go:noescape
func sumSquaresAVX2(x []float32) float32

//go:noescape
func scaleMulAVX2(dst, x, w []float32, s float32)

//go:noescape
func addAVX2(x, y []float32)

//go:noescape
func rotateAVX2(lo, hi, cos, sin []float32)

//go:noescape
func maxAVX2(x []float32) float32

//go:noescape
func softcapAVX2(x []float32, scale, limit float32)

//go:noescape
func geluMulAVX2(dst, gate, up []float32)

//go:noescape
func expSumAVX2(x []float32, max float32) float32

//go:noescape
func expSum64AVX2(x []float32, max float32) float64

//go:noescape
func expSum64AVX512(x []float32, max float32) float64

//go:noescape
func softcapAVX512(x []float32, scale, limit float32)

//go:noescape
func geluMulAVX512(dst, gate, up []float32)

//go:noescape
func expSumAVX512(x []float32, max float32) float32

// hadamardAVX2 is hadamardRef; len(x) is a power of two from 16.
//
//go:noescape
func hadamardAVX2(x []float32, scale float32)

// addOutliersAVX2 is addOutliersRef; n is 1 or more.
//
//go:noescape
func addOutliersAVX2(out *float32, w *byte, wScale *float32, list *Outlier, n int)
