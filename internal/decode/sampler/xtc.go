package sampler

// xtc excludes top choices: now and then, of the candidates with at least the probability threshold, it drops all but the
// least likely one. (p-e-w's sampler, as in llama.cpp.) Its coin is another random number than the draw's.
type xtc struct {
	probability, threshold float64
	minKeep                int
	history                *history
}

func (t *xtc) apply(c *candidates) {
	if coin(t.history.seed, uint64(t.history.accepted)) >= t.probability {
		return
	}
	top := c.best().score
	least := t.threshold * c.mass(top)
	n, worst := 0, candidate{}
	for _, x := range c.list {
		if x.possible() && weight(x.score, top) >= least {
			if n == 0 || worst.better(x) {
				worst = x
			}
			n++
		}
	}
	if n > 1 && len(c.list)-(n-1) >= t.minKeep {
		c.keep(func(x candidate) bool { return !x.better(worst) })
	}
}
