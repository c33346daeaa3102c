//go:build amd64 && !noasm

package kernel

// Each function is the one of the reference that has its name, bit for bit; the .s files give the loops that they equal.
// The suffix is the level of the instructions.

//go:noescape
func mulW8CAVX2(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int)

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
func absMaxAVX2(x []float32) uint32

//go:noescape
func quantizeAVX2(dst *uint8, stride int, x []float32, scale float32)

// quantizeBiasedAVX2 adds 128 to each byte, for sets whose products want unsigned activations.
//
//go:noescape
func quantizeBiasedAVX2(dst *uint8, stride int, x []float32, scale float32)
