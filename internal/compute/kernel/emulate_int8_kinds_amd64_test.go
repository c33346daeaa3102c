//go:build amd64 && !noasm

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/emulate"
)

// TestEmulatedInt8KindCases writes what rotated w8a8 and LLM.int8 need, as TestEmulatedCases the other functions.
func TestEmulatedInt8KindCases(t *testing.T) {
	if !emulate.Enabled() {
		t.Skip("ASM_EMULATE_CASES names no file for the cases")
	}
	for i, l := range levels {
		e := emulation{t, l.set, l.cpu, rand.New(rand.NewPCG(13, uint64(i)))}
		for n := 16; n <= 256; n *= 2 {
			x, scale := e.floats(n), float32(1/math.Sqrt(float64(n)))
			want := slices.Clone(x)
			hadamardRef(want, scale)
			e.write(fmt.Sprintf("hadamard/n=%d", n), e.set.hadamard, []emulate.Arg{emulate.Slice("x", n), emulate.Float32(scale)},
				map[string]emulate.Block{"x": emulate.Out(x)}, map[string][]byte{"x": emulate.Bytes(want)})
		}
		for n := 1; n <= 5; n++ {
			const tiles = 3
			w, out, scale, values := e.bytes(64*tiles, false), e.floats(16), e.floats(16), e.floats(n)
			list := make([]Outlier, n)
			words := make([]uint32, 0, 2*n) // the same memory
			for j := range list {
				list[j] = Outlier{int32((5*j + n) % (4 * tiles)), values[j]}
				words = append(words, uint32(list[j].Column), math.Float32bits(list[j].Value))
			}
			want := slices.Clone(out)
			addOutliersRef(&want[0], &w[0], &scale[0], &list[0], n)
			e.write(fmt.Sprintf("addOutliers/n=%d", n), e.set.addOutliers,
				[]emulate.Arg{emulate.Ptr("out"), emulate.Ptr("w"), emulate.Ptr("wScale"), emulate.Ptr("list"), emulate.Int(n)},
				map[string]emulate.Block{"out": emulate.Out(out), "w": emulate.In(w), "wScale": emulate.In(scale), "list": emulate.In(words)},
				map[string][]byte{"out": emulate.Bytes(want)})
		}
	}
}
