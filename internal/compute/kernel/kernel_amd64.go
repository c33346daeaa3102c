//go:build amd64 && !noasm

package kernel

import "golang.org/x/sys/cpu"

// avx2 is for CPUs since 2013: Haswell, Zen.
var avx2 = table{
	name: "avx2",

	mulW8C: mulW8CAVX2, mulW8G: mulW8GAVX2, mulW4G: mulW4GAVX2, expandW4L: expandW4LAVX2, quantizeBlocks: quantizeBlocksAVX2, quantizeSigned: quantizeAVX2, mulF32: mulF32AVX2, mulBF16: mulBF16AVX2, mulF16: mulF16AVX2,
	absMax: absMaxAVX2, quantize: quantizeAVX2,
	sumSquares: sumSquaresAVX2, scaleMul: scaleMulAVX2, add: addAVX2, rotate: rotateAVX2, softcap: softcapAVX2, geluMul: geluMulAVX2,
	max: maxAVX2, expSum: expSumAVX2, attention: attentionAVX2,
}

// avxvnni is avx2 with products by VPDPBUSD, for CPUs since 2021 that lack AVX-512: Alder Lake and later.
var avxvnni = table{
	name: "avxvnni", bias: 128,

	mulW8C: mulW8CAVXVNNI, mulW8G: mulW8GAVXVNNI, mulW4G: mulW4GAVXVNNI, expandW4L: expandW4LAVX2, quantizeBlocks: quantizeBlocksAVX2, quantizeSigned: quantizeAVX2, mulF32: mulF32AVX2, mulBF16: mulBF16AVX2, mulF16: mulF16AVX2,
	absMax: absMaxAVX2, quantize: quantizeBiasedAVX2,
	sumSquares: sumSquaresAVX2, scaleMul: scaleMulAVX2, add: addAVX2, rotate: rotateAVX2, softcap: softcapAVX2, geluMul: geluMulAVX2,
	max: maxAVX2, expSum: expSumAVX2, attention: attentionAVX2,
}

// avx512vnni is for servers since 2019 (Cascade Lake) and for Zen 4. What is bound by memory or short stays in AVX2.
var avx512vnni = table{
	name: "avx512vnni", bias: 128,

	mulW8C: mulW8CAVX512VNNI, mulW8G: mulW8GAVX512VNNI, mulW4G: mulW4GAVX512VNNI, expandW4L: expandW4LAVX512, quantizeBlocks: quantizeBlocksAVX2, quantizeSigned: quantizeAVX2, mulF32: mulF32AVX512, mulBF16: mulBF16AVX512, mulF16: mulF16AVX512,
	absMax: absMaxAVX2, quantize: quantizeBiasedAVX2,
	sumSquares: sumSquaresAVX2, scaleMul: scaleMulAVX2, add: addAVX2, rotate: rotateAVX2, softcap: softcapAVX512, geluMul: geluMulAVX512,
	max: maxAVX2, expSum: expSumAVX512, attention: attentionAVX512,
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
	}
	return sets
}
