//go:build !noasm

package kernel

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

// assembled is the neon set where the CPU has the dot product extension (FEAT_DotProd, Linux: asimddp), else nothing.
//
// Linux tells by HWCAP, Windows by IsProcessorFeaturePresent. macOS tells by a sysctl that releases 11 and 12 may
// lack, but every Arm CPU that runs macOS (M1 and later) has the extension.
func assembled() []*table {
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		return []*table{&neon}
	}
	return nil
}

// neon is the set for Armv8.2 with dot product; tuned on paper for Cortex-A76.
var neon = table{
	name: "neon", rounded: "fused multiply-adds, 128 bits", packRounded: packRounded, mulRounded: mulRoundedNeon,

	mulW8C: mulW8CNeon, mulW8G: mulW8GNeon, mulW4G: mulW4GNeon, expandW4L: expandW4LNeon, quantizeSigned: quantizeNeon, quantizeBlocks: quantizeBlocksNeon, mulF32: mulF32Neon, mulBF16: mulBF16Neon, mulF16: mulF16Neon,
	hadamard: hadamardRef, addOutliers: addOutliersRef, // plain Go is near enough: a share of some percent
	absMax: absMaxNeon, quantize: quantizeNeon,
	sumSquares: sumSquaresNeon, scaleMul: scaleMulNeon, add: addNeon, rotate: rotateNeon, softcap: softcapNeon, geluMul: geluMulNeon,
	max: maxNeon, expSum: expSumNeon, attention: attentionNeon,
}
