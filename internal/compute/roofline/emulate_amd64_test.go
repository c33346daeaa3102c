//go:build amd64 && !noasm

package roofline

import (
	"fmt"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/emulate"
)

// TestEmulatedCases writes calls of every function for tools/asm-emulate: also those that this CPU lacks.
func TestEmulatedCases(t *testing.T) {
	if !emulate.Enabled() {
		t.Skip("ASM_EMULATE_CASES names no file for the cases")
	}
	cpus := map[string]string{"avx2": emulate.AVX2, "avxvnni": emulate.AVXVNNI, "avx512vnni": emulate.AVX512VNNI}
	functions := map[string]any{"avx2": peakAVX2, "avxvnni": peakAVXVNNI, "avx512vnni": peakAVX512VNNI}
	for set, f := range functions {
		for _, n := range []int{1, 3, 50} {
			want := emulate.Uint32(uint32(4 * perRound[set] * int32(n)))
			emulate.Write(t, emulate.Case{Name: fmt.Sprintf("peak %s %d rounds", set, n), Func: f, CPU: cpus[set], Args: []emulate.Arg{emulate.Int(n)},
				Memory: map[string]emulate.Block{}, Expect: map[string][]byte{}, Ret: []emulate.Arg{want}})
		}
	}
	for _, n := range []int{512, 1536} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i * i >> 3)
		}
		emulate.Write(t, emulate.Case{Name: fmt.Sprintf("read %d", n), Func: readAVX2, CPU: emulate.AVX2, Args: []emulate.Arg{emulate.Ptr("p"), emulate.Int(n)},
			Memory: map[string]emulate.Block{"p": emulate.In(b)}, Expect: map[string][]byte{}, Ret: []emulate.Arg{emulate.Int(int(readGo(b)))}})
	}
}
