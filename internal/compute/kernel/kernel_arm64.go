//go:build !noasm

package kernel

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

// assembled is the neon set where the CPU has the dot product extension (FEAT_DotProd, Linux: asimddp), else nothing.
//
// Linux tells by HWCAP, Windows by IsProcessorFeaturePresent. macOS tells by a sysctl that its first two releases for these
// CPUs lack, but every CPU that ran macOS, M1 and later, has it.
func assembled() []*table {
	if cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin" {
		return []*table{&neon}
	}
	return nil
}

// neon is the set for Armv8.2 with dot product; tuned on paper for Cortex-A76.
var neon = table{
	name: "neon",

	mulW8C: mulW8CNeon, mulF32: mulF32Ref, mulBF16: mulBF16Ref, mulF16: mulF16Ref,
	absMax: absMaxRef, quantize: quantizeRef,
	sumSquares: sumSquaresRef, scaleMul: scaleMulRef, add: addRef, rotate: rotateRef, softcap: softcapsRef, geluMul: geluMulRef,
	max: maxRef, expSum: expSumRef, dotF32: dotF32Ref, dotF16: dotF16Ref, axpyF32: axpyF32Ref, axpyF16: axpyF16Ref,
}
