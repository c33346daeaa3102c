package sampler

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// Sums over blocks, most of them in float32, draw what sums of exact weights draw: a boundary moves by some 1e-12.
func TestDrawEqualsPlainSums(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	for round := range 60 {
		logits := someLogits(1 + r.IntN(5000))
		for range r.IntN(50) {
			logits[r.IntN(len(logits))] = []float32{float32(math.Inf(-1)), -math.MaxFloat32, -100, -30, 20}[r.IntN(5)]
		}
		if round%5 == 0 {
			for i := range logits {
				logits[i] /= 40 // flat: float64 everywhere
			}
		}
		var c candidates
		c.reset(logits)
		top := c.best().score
		if math.IsInf(float64(top), -1) {
			continue
		}
		plain := 0.0
		for _, x := range logits {
			plain += portable.ExpNeg(float64(x) - float64(top))
		}
		if mass := c.mass(top); math.Abs(mass/plain-1) > 1e-11 {
			t.Errorf("round %d: mass %v, want %v", round, mass, plain)
		}
		for range 50 {
			u := r.Float64()
			run, want := 0.0, int32(0)
			for id, x := range logits {
				if run += portable.ExpNeg(float64(x) - float64(top)); run > u*plain {
					want = int32(id)
					break
				}
			}
			if got := c.draw(u); got != want {
				t.Errorf("round %d: u %v draws %d, want %d", round, u, got, want)
			}
		}
		if id := c.draw(0); logits[id] <= -math.MaxFloat32 {
			t.Errorf("round %d: drew an impossible token", round)
		}
	}
}
