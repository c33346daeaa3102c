//go:build !noasm

package kernel

import (
	"math/rand/v2"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

// Panels longer than one block of k, with every width: the property tests' k are shorter.
func TestNeonBlocksJoin(t *testing.T) {
	if len(assembled()) == 0 {
		t.Skip("this CPU has no dot product extension")
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, k4 := range []int{blockW8C - 1, blockW8C, blockW8C + 1, 2*blockW8C + 3} {
		for _, tokens := range []int{1, 2, 3, 8, 13} {
			width := PanelWidth(tokens)
			w, panel := make([]byte, 64*k4), make([]uint8, 4*width*k4)
			for i := range w {
				w[i] = byte(r.IntN(255) - 127)
			}
			for i := range panel {
				panel[i] = byte(r.IntN(255) - 127)
			}
			ws, as := make([]float32, 16), make([]float32, tokens)
			for i := range ws {
				ws[i] = r.Float32()
			}
			for i := range as {
				as[i] = r.Float32()
			}
			want := make([]float32, 16*tokens)
			got := guard.Copy(t, want)
			mulW8CRef(&want[0], 16, &w[0], &ws[0], nil, &panel[0], width, k4, &as[0], tokens)
			mulW8CNeon(&got[0], 16, &guard.Copy(t, w)[0], &guard.Copy(t, ws)[0], nil, &guard.Copy(t, panel)[0], width, k4, &guard.Copy(t, as)[0], tokens)
			if !sameBits(got, want) {
				t.Errorf("k=%d, %d tokens: W8C product differs from the reference", 4*k4, tokens)
			}
		}
	}
}
