// Package kernel is the arithmetic of the engine: matrix products, norms, activations and attention over slices, in portable
// Go and in assembly.
//
// It owns the meaning of every bit: reference.go and math.go define each result, and an assembly kernel is correct only if
// it equals them exactly. Float vectors are multiples of 16 floats long, zero-padded by the caller, so that no kernel has a
// tail; a float sum over a vector runs in 16 lanes of fused multiply-adds that one fixed tree combines.
//
// It must not know what a layer, a tensor file or a thread is. Callers pass slices; splitting work is the business of
// package parallel.
package kernel

import (
	"fmt"
	"os"
	"strings"
)

// table is one complete set of kernels; every field is set that does not say otherwise, so callers never test for nil. KERNELS.md lists the files.
type table struct {
	name    string // shown by `systemgemma doctor`
	untried bool   // no real CPU has run it yet: emulation only, shown too
	bias    uint8  // added to the int8 activations of a panel: 128 where the product wants unsigned ones

	// What mulW8C wants to know of each row of a strip as its wSum, see RowTerms; nil where it is the sum of the weights, or nothing.
	rowTerms func(terms *int32, w *byte, k4 int, rowSum *int32)

	// Products of one strip (16 rows) with the first tokens columns of a panel; see MulW8C and MulF32.
	mulW8C  func(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int)
	mulF32  func(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
	mulBF16 func(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
	mulF16  func(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

	bounded *bounded // nil where mulW8C is no slower

	// Products of bfloat16 weights under the preset speed, and the panel that they want; see MulBF16Rounded.
	rounded     string // how they are done, shown by `systemgemma doctor`
	packRounded func(panel []float32, width, col int, x []float32)
	mulRounded  func(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)

	mulW8G mulGroups
	mulW4G mulGroups

	nibbles *nibbles // nil where mulW4G is no slower

	expandW4L func(dst *float32, w *byte, scales, table *float32, blocks int)

	hadamard    func(x []float32, scale float32) // one block
	addOutliers func(out *float32, w *byte, wScale *float32, list *Outlier, n int)

	absMax   func(x []float32) uint32
	quantize func(dst *uint8, stride int, x []float32, scale float32)

	quantizeSigned func(dst *uint8, stride int, x []float32, scale float32) // quantize without bias
	quantizeBlocks func(dst *uint8, stride int, words *uint32, width int, x []float32)

	sumSquares func(x []float32) float32
	scaleMul   func(dst, x, w []float32, s float32)
	add        func(x, y []float32)
	rotate     func(lo, hi, cos, sin []float32)
	softcap    func(x []float32, scale, limit float32)
	geluMul    func(dst, gate, up []float32)

	max    func(x []float32) float32
	expSum func(x []float32, max float32) float32

	expSum64 func(x []float32, max float32) float64

	attention
}

// envName is the environment variable that forces a set by name.
const envName = "SYSTEMGEMMA_KERNEL"

// active and activeErr are chosen once, before main; nothing changes them later.
var active, activeErr = choose(os.Getenv(envName), available())

// available lists this CPU's sets, the best one last; the reference is always there.
func available() []*table { return append([]*table{&reference}, assembled()...) }

// choose returns the set named by want, or the best one. An unknown name gives the reference and an error.
func choose(want string, sets []*table) (*table, error) {
	if want == "" {
		return sets[len(sets)-1], nil
	}
	var names []string
	for _, t := range sets {
		if t.name == want {
			return t, nil
		}
		names = append(names, t.name)
	}
	return &reference, fmt.Errorf("%s: want one of %s (what this CPU has), found %q", envName, strings.Join(names, ", "), want)
}

// Name is the name of the set in use: reference, avx2, avxvnni, avx512vnni, avx512bf16, neon or i8mm.
func Name() string { return active.name }

// Err reports a SYSTEMGEMMA_KERNEL that this CPU can't honour. Whoever opens a model asks first.
func Err() error { return activeErr }

// Names lists the sets that this CPU has, the best one last.
func Names() []string {
	var names []string
	for _, t := range available() {
		names = append(names, t.name)
	}
	return names
}

// Untried lists those of Names that no real CPU has run yet, to our knowledge: they were tested by emulation only.
func Untried() []string {
	var names []string
	for _, t := range available() {
		if t.untried {
			names = append(names, t.name)
		}
	}
	return names
}
