//go:build amd64 && !noasm

package kernel

import "golang.org/x/sys/cpu"

// assembled lists the sets that this CPU and its operating system support, the best one last.
func assembled() []*table {
	var sets []*table
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA || !x.HasF16C {
		return nil
	}
	sets = append(sets, &avx2)
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
		sets = append(sets, &avx512vnni)
	}
	return sets
}

// avx2 is for CPUs since 2013 (Haswell, Zen).
var avx2 = func() table {
	t := reference
	t.name = "avx2"
	t.mulW8C, t.mulF32, t.mulBF16, t.mulF16 = mulW8CAVX2, mulF32AVX2, mulBF16AVX2, mulF16AVX2
	t.absMax, t.quantize = absMaxAVX2, quantizeAVX2
	return t
}()

// avx512vnni is for server CPUs since 2019 (Cascade Lake) and Zen 4.
var avx512vnni = func() table {
	t := avx2
	t.name, t.bias = "avx512vnni", 128
	t.mulW8C, t.mulF32, t.mulBF16, t.mulF16 = mulW8CAVX512VNNI, mulF32AVX512, mulBF16AVX512, mulF16AVX512
	t.quantize = quantizeBiasedAVX2
	return t
}()
