package sampler

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

func count(set []uint64) (n int) {
	for _, w := range set {
		n += bits.OnesCount64(w)
	}
	return n
}

// Among some tokens the choice is as if all others were hopeless; the log-probability is that among all.
func TestSampleAmong(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		p := Params{Seed: uint64(i)}
		for f, x := range map[*float64]float64{&p.Temperature: 0.3 + r.Float64(), &p.TopP: 0.5, &p.MinP: 0.1, &p.RepetitionPenalty: 1.3, &p.PresencePenalty: 0.5} {
			if r.IntN(2) == 0 {
				*f = x
			}
		}
		logits := make([]float32, 1+r.IntN(200))
		allowed := make([]uint64, len(logits)/64+1)
		for j := range logits {
			logits[j] = r.Float32()*20 - 10
			if r.IntN(4) == 0 {
				allowed[j>>6] |= 1 << (j & 63)
			}
		}
		one := r.IntN(len(logits))
		allowed[one>>6] |= 1 << (one & 63)
		if n := count(allowed); n > 1 && r.IntN(2) == 0 {
			p.TopK = 1 + r.IntN(n-1) // as many or more would leave the candidates in another order than among all
		}
		hopeless := slices.Clone(logits)
		for j := range hopeless {
			if allowed[j>>6]>>(j&63)&1 == 0 {
				hopeless[j] = -1e30
			}
		}
		s, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		s.Accept(int32(r.IntN(len(logits))), int32(one))
		got, logprob, err := s.SampleAmong(logits, allowed)
		want, _, err2 := s.Sample(hopeless)
		if err != nil || err2 != nil || got != want {
			t.Fatalf("%+v: chose %d among %x, want %d (%v, %v)", p, got, allowed, want, err, err2)
		}
		best, _ := argmax(logits)
		if want := float64(logits[got]) - logSumExp(logits, logits[best]); logprob != want {
			t.Fatalf("log-probability %v, want %v", logprob, want)
		}
		all, _, err := s.Sample(logits)
		among, _, err2 := s.SampleAmong(logits, slices.Repeat([]uint64{^uint64(0)}, len(allowed)))
		if err != nil || err2 != nil || among != all {
			t.Fatalf("among all %d, want %d (%v, %v)", among, all, err, err2)
		}
	}
	s, err := New(Params{})
	if err != nil {
		t.Fatal(err)
	}
	for _, none := range [][]uint64{{}, {0}, {1 << 5}} {
		if _, _, err := s.SampleAmong([]float32{1, 2}, none); err == nil {
			t.Errorf("%x: want an error", none)
		}
	}
}
