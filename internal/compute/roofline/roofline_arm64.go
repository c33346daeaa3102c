//go:build !noasm

package roofline

import (
	"runtime"

	"golang.org/x/sys/cpu"
)

// A lane of SMMLA sums eight products, so it counts eight for each instruction.
var multipliers = []multiplier{{"neon", "sdot, 128 bits", 4, peakSDOT}, {"i8mm", "smmla, 128 bits", 4, peakSMMLA}}

// runnable says whether this CPU has the multiplier's instructions.
func (m *multiplier) runnable() bool {
	if m.set == "i8mm" {
		return cpu.ARM64.HasI8MM
	}
	return cpu.ARM64.HasASIMDDP || runtime.GOOS == "darwin"
}

//go:noescape
func peakSDOT(n int) (lane int32)

//go:noescape
func peakSMMLA(n int) (lane int32)

//go:noescape
func readNeon(p *byte, n int) (x uint64)

func read(b []byte) uint64 { return readNeon(&b[0], len(b)) }
