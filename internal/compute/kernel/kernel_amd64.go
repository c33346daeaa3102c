//go:build amd64 && !noasm

package kernel

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// avx2 is for CPUs since 2013: Haswell, Zen.
var avx2 = table{
	name: "avx2", rounded: "fused multiply-adds, 256 bits", packRounded: packRounded, mulRounded: mulRoundedAVX2,

	rowTerms: negativeSumsAVX2, mulW8C: mulW8CAVX2, mulW8G: mulW8GAVX2, mulW4G: mulW4GAVX2, expandW4L: expandW4LAVX2, quantizeBlocks: quantizeBlocksAVX2, quantizeSigned: quantizeAVX2, mulF32: mulF32AVX2, mulBF16: mulBF16AVX2, mulF16: mulF16AVX2,
	bounded:  &bounded{boundStripAVX2, boundPanelAVX2, mulBoundedAVX2},
	nibbles:  &nibbles{expandW4GAVX2, mulW4GBytesAVX2},
	hadamard: hadamardAVX2, addOutliers: addOutliersAVX2,
	absMax: absMaxAVX2, quantize: quantizeAVX2,
	sumSquares: sumSquaresAVX2, scaleMul: scaleMulAVX2, add: addAVX2, rotate: rotateAVX2, softcap: softcapAVX2, geluMul: geluMulAVX2,
	max: maxAVX2, expSum: expSumAVX2, expSum64: expSum64AVX2, attention: attentionAVX2,
}

// avxvnni is avx2 with products by VPDPBUSD, for CPUs since 2021 that lack AVX-512: Alder Lake and later.
var avxvnni = table{
	name: "avxvnni", untried: true, bias: 128, rounded: "fused multiply-adds, 256 bits", packRounded: packRounded, mulRounded: mulRoundedAVX2,

	mulW8C: mulW8CAVXVNNI, mulW8G: mulW8GAVXVNNI, mulW4G: mulW4GAVXVNNI, expandW4L: expandW4LAVX2, quantizeBlocks: quantizeBlocksAVX2, quantizeSigned: quantizeAVX2, mulF32: mulF32AVX2, mulBF16: mulBF16AVX2, mulF16: mulF16AVX2,
	hadamard: hadamardAVX2, addOutliers: addOutliersAVX2,
	absMax: absMaxAVX2, quantize: quantizeBiasedAVX2,
	sumSquares: sumSquaresAVX2, scaleMul: scaleMulAVX2, add: addAVX2, rotate: rotateAVX2, softcap: softcapAVX2, geluMul: geluMulAVX2,
	max: maxAVX2, expSum: expSumAVX2, expSum64: expSum64AVX2, attention: attentionAVX2,
}

// avx512vnni is for servers since 2019 (Cascade Lake) and for Zen 4. What is bound by memory or short stays in AVX2.
var avx512vnni = table{
	name: "avx512vnni", bias: 128, rounded: "fused multiply-adds, 512 bits", packRounded: packRounded, mulRounded: mulRoundedAVX512,

	mulW8C: mulW8CAVX512VNNI, mulW8G: mulW8GAVX512VNNI, mulW4G: mulW4GAVX512VNNI, expandW4L: expandW4LAVX512, quantizeBlocks: quantizeBlocksAVX2, quantizeSigned: quantizeAVX2, mulF32: mulF32AVX512, mulBF16: mulBF16AVX512, mulF16: mulF16AVX512,
	hadamard: hadamardAVX2, addOutliers: addOutliersAVX2,
	absMax: absMaxAVX2, quantize: quantizeBiasedAVX2,
	sumSquares: sumSquaresAVX2, scaleMul: scaleMulAVX2, add: addAVX2, rotate: rotateAVX2, softcap: softcapAVX512, geluMul: geluMulAVX512,
	max: maxAVX2, expSum: expSumAVX512, expSum64: expSum64AVX512, attention: attentionAVX512,
}

// avx512bf16 is avx512vnni with the dot product of bfloat16, for Zen 4 and servers since 2023 (Sapphire Rapids).
var avx512bf16 = withBF16(avx512vnni)

func withBF16(t table) table {
	t.name, t.rounded, t.packRounded, t.mulRounded = "avx512bf16", "vdpbf16ps, 512 bits", packPairs, mulRoundedAVX512BF16
	return t
}

// assembled lists the sets that this CPU and its operating system support, the best one last.
func assembled() []*table {
	x := &cpu.X86 // its flags of registers say that the operating system saves them too
	if !x.HasAVX2 || !x.HasFMA || !x.HasF16C {
		return nil
	}
	sets := []*table{&avx2}
	if x.HasAVXVNNI {
		sets = append(sets, &avxvnni)
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
		sets = append(sets, &avx512vnni)
		if x.HasAVX512BF16 && roundsAsDefined() {
			sets = append(sets, &avx512bf16)
		}
	}
	return sets
}

// roundsAsDefined says whether this CPU's VDPBF16PS rounds as the reference does. Its definition leaves no choice, and a Zen 4
// keeps to it; a CPU that differs must not change what a model says.
var roundsAsDefined = sync.OnceValue(func() bool {
	const k4 = 2
	var w [64 * k4]uint16
	var x [4 * k4]float32
	for k := range x { // sums whose order and roundings all show
		x[k] = float32(k+1) * []float32{1, -0x1.02p-9, 0x1p-40, 0x1.fep-24}[k%4]
		for r := range 16 {
			w[k/2*32+2*r+k%2] = half.ToBF16(float32(r*k%7-3) * []float32{0x1.fep-3, 3, 1, 0x1p-130}[(r+k)%4])
		}
	}
	var panel [4 * k4]float32
	var got, want [16]float32
	packRounded(panel[:], 1, 0, x[:])
	mulRoundedRef(&want[0], 16, (*byte)(unsafe.Pointer(&w[0])), &panel[0], 1, k4, 1)
	packPairs(panel[:], 1, 0, x[:])
	mulRoundedAVX512BF16(&got[0], 16, (*byte)(unsafe.Pointer(&w[0])), &panel[0], 1, k4, 1)
	return got == want
})
