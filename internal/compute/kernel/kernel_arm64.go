//go:build !noasm

package kernel

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

// assembled is the neon set where the CPU has the dot product extension (FEAT_DotProd, Linux: asimddp), and i8mm where it has
// matrix products of int8 too (FEAT_I8MM), else nothing.
//
// Linux tells by HWCAP, Windows by IsProcessorFeaturePresent. macOS tells by a sysctl that releases 11 and 12 may
// lack, but every Arm CPU that runs macOS (M1 and later) has the extension.
func assembled() []*table {
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		sets := []*table{&neon}
		if cpu.ARM64.HasI8MM {
			sets = append(sets, &i8mm)
		}
		return sets
	}
	return nil
}

// neon is the set for Armv8.2 with dot product; tuned on paper for Cortex-A76.
var neon = table{
	name: "neon", untried: true, rounded: "fused multiply-adds, 128 bits", packRounded: packRounded, mulRounded: mulRoundedNeon,

	mulW8C: mulW8CNeon, mulW8G: mulW8GNeon, mulW4G: mulW4GNeon, expandW4L: expandW4LNeon, quantizeSigned: quantizeNeon, quantizeBlocks: quantizeBlocksNeon, mulF32: mulF32Neon, mulBF16: mulBF16Neon, mulF16: mulF16Neon,
	hadamard: hadamardRef, addOutliers: addOutliersRef, // plain Go is near enough: a share of some percent
	absMax: absMaxNeon, quantize: quantizeNeon,
	sumSquares: sumSquaresNeon, scaleMul: scaleMulNeon, add: addNeon, rotate: rotateNeon, softcap: softcapNeon, geluMul: geluMulNeon,
	max: maxNeon, expSum: expSumNeon, expSum64: expSum64Ref, attention: attentionNeon,
}

// i8mm is neon with W8C's products of many tokens by SMMLA, for Armv8.6 (Neoverse V1, Cortex-A510 and A710, Apple M2).
var i8mm = withI8MM(neon)

func withI8MM(t table) table {
	t.name, t.mulW8C = "i8mm", mulW8CI8MM
	return t
}
