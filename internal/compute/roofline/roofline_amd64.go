//go:build amd64 && !noasm

package roofline

import "golang.org/x/sys/cpu"

var multipliers = []multiplier{
	{"avx2", "vpmaddubsw + vpmaddwd + vpaddd, 256 bits", 8, peakAVX2},
	{"avxvnni", "vpdpbusd, 256 bits (VEX)", 8, peakAVXVNNI},
	{"avx512vnni", "vpdpbusd, 512 bits", 16, peakAVX512VNNI},
	{"avx512bf16", "vpdpbusd, 512 bits", 16, peakAVX512VNNI},
}

// runnable says whether this CPU has the multiplier's instructions.
func (m *multiplier) runnable() bool {
	switch m.set {
	case "avx2":
		return cpu.X86.HasAVX2
	case "avxvnni":
		return cpu.X86.HasAVXVNNI
	}
	return cpu.X86.HasAVX512F && cpu.X86.HasAVX512VNNI
}

//go:noescape
func peakAVX2(n int) (lane int32)

//go:noescape
func peakAVXVNNI(n int) (lane int32)

//go:noescape
func peakAVX512VNNI(n int) (lane int32)

//go:noescape
func readAVX2(p *byte, n int) (x uint64)

func read(b []byte) uint64 {
	if !cpu.X86.HasAVX2 {
		return readGo(b)
	}
	return readAVX2(&b[0], len(b))
}
