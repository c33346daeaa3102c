//go:build amd64 && !noasm

package kernel

// Products with weights in groups; see stubs_amd64.go.

//go:noescape
func mulW8GAVX2(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

//go:noescape
func mulW4GAVX2(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

//go:noescape
func mulW8GAVXVNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

//go:noescape
func mulW4GAVXVNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

//go:noescape
func mulW8GAVX512VNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

//go:noescape
func mulW4GAVX512VNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

// quantizeBlocksAVX2 makes signed bytes, whatever the set's bias.
//
//go:noescape
func quantizeBlocksAVX2(dst *uint8, stride int, words *uint32, width int, x []float32)

// expandW4LAVX512 and expandW4LAVX2 are expandW4LRef.
//
//go:noescape
func expandW4LAVX512(dst *float32, w *byte, scales, table *float32, blocks int)

//go:noescape
func expandW4LAVX2(dst *float32, w *byte, scales, table *float32, blocks int)

//go:noescape
func mulW4GBytesAVX2(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

//go:noescape
func expandW4GAVX2(dst, w *byte, pairs int)
