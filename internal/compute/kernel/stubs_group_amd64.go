//go:build amd64 && !noasm

package kernel

//go:noescape
func mulW8GAVX512VNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

//go:noescape
func mulW4GAVX512VNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
