package sampler

import (
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// typical keeps the candidates whose surprise -ln p is nearest the entropy, the expected surprise (C. Meister and others,
// "Locally typical sampling", TACL 2023). llama.cpp stops at the first prefix of more than p, transformers at the first of at
// least p, and with it keeps all that are no farther off (ties).
type typical struct {
	p       float64
	minKeep int
	ties    bool
	scratch []deviation
}

// deviation is a candidate and how far its surprise is from the entropy.
type deviation struct {
	candidate
	off float64
}

func (x deviation) better(y deviation) bool {
	return x.off < y.off || x.off == y.off && x.candidate.better(y.candidate)
}

func (t *typical) apply(c *candidates) {
	top := c.best().score
	h, mass := c.entropy(top)
	logMass := portable.Log(mass)
	if cap(t.scratch) < len(c.list) {
		t.scratch = make([]deviation, len(c.room))
	}
	list := t.scratch[:0]
	for _, x := range c.list {
		if x.possible() {
			list = append(list, deviation{x, math.Abs(logMass - (float64(x.score) - float64(top)) - h)})
		}
	}
	sum, last := 0.0, math.Inf(1)
	enough := t.p * mass
	n := sortTop(list, 0, func(rank int, x deviation) bool {
		full := sum > enough || t.ties && sum == enough
		if rank >= t.minKeep && full && (!t.ties || x.off > last) {
			return false
		}
		if !full {
			last = x.off
		}
		sum += weight(x.score, top)
		return true
	})
	for i, x := range list[:n] {
		c.list[i] = x.candidate
	}
	c.list, c.sorted, c.whole = c.list[:n], false, false
}

// cutoff keeps candidates of at least a probability: epsilon, or if adapt eta's min(epsilon, sqrt(epsilon) e^-entropy)
// (J. Hewitt and others, "Truncation sampling as language model desmoothing", EMNLP 2022). At least minKeep stay, and all
// equals of the last of these.
type cutoff struct {
	epsilon float64
	adapt   bool
	minKeep int
}

func (t cutoff) apply(c *candidates) {
	top := c.best().score
	h, mass := c.entropy(top)
	least := t.epsilon
	if t.adapt {
		least = min(least, math.Sqrt(least)*portable.ExpNeg(-h))
	}
	least *= mass
	kept := 0
	for _, x := range c.list {
		if weight(x.score, top) >= least {
			kept++
		}
	}
	if kept < t.minKeep {
		topK{t.minKeep, true}.apply(c)
		return
	}
	c.keep(func(x candidate) bool { return weight(x.score, top) >= least })
}

// topH keeps the best of the 100 best, as long as the entropy of those kept stays within a share of that of the 100 (E. Potraghloo
// and others, "Top-H decoding", NeurIPS 2025).
type topH float64

func (t topH) apply(c *candidates) {
	c.keepTop(func(rank int, _ candidate) bool { return rank < 100 })
	top := c.list[0].score
	h, mass := c.entropy(top)
	sum := 0.0
	c.keepTop(func(_ int, x candidate) bool {
		if p := weight(x.score, top) / mass; p > 0 {
			sum -= float64(p * portable.Log(p))
		}
		return sum <= float64(float64(t)*h)
	})
}

// topNSigma bans candidates whose score is more than n standard deviations below the best (C. Tang and others, "Top-n sigma:
// not all logits are you need", ACL 2025). They stay in the list, as llama.cpp's do.
type topNSigma float64

func (n topNSigma) apply(c *candidates) {
	count, sum := 0.0, 0.0
	for _, x := range c.list {
		if x.possible() {
			count, sum = count+1, sum+float64(x.score)
		}
	}
	mean, squares := sum/count, 0.0
	for _, x := range c.list {
		if x.possible() {
			d := float64(x.score) - mean
			squares += float64(d * d)
		}
	}
	least := float64(c.best().score) - float64(float64(n)*math.Sqrt(squares/count))
	for i, x := range c.list {
		if float64(x.score) < least {
			c.list[i].score = float32(math.Inf(-1))
		}
	}
}

// dynamic divides scores by a temperature between low and high, the higher the more even the candidates are: by their entropy's
// share of the most it can be, to the power of exponent.
type dynamic struct{ low, high, exponent float64 }

func (d dynamic) apply(c *candidates) {
	if len(c.list) < 2 {
		return
	}
	t := d.temperature(c)
	if t < minTemperature {
		c.keepTop(func(rank int, _ candidate) bool { return rank == 0 })
		return
	}
	temperature(t).apply(c)
}

func (d dynamic) temperature(c *candidates) float64 {
	h, _ := c.entropy(c.best().score)
	share := min(1, h/portable.Log(float64(len(c.list))))
	return d.low + float64((d.high-d.low)*portable.Pow(share, d.exponent))
}
