package sampler

// temperature divides scores, in float32 as transformers does.
type temperature float32

func (t temperature) apply(c *candidates) {
	for i := range c.list {
		c.list[i].change(c.list[i].score / float32(t))
	}
}

// topK keeps the k best and, if ties, all equals of the k-th.
type topK struct {
	k    int
	ties bool
}

func (t topK) apply(c *candidates) {
	if t.k >= len(c.list) {
		return
	}
	var last float32 // score of the k-th
	c.keepTop(func(rank int, x candidate) bool {
		if rank < t.k {
			last = x.score
			return true
		}
		return t.ties && x.score == last
	})
}

// topP keeps the shortest prefix, from the best down, whose probability reaches p, and at least minKeep candidates.
// Where it cuts between equals, lower ids stay.
type topP struct {
	p       float64
	minKeep int
}

func (t topP) apply(c *candidates) {
	top := c.best().score
	enough := t.p * c.mass(top)
	sum := 0.0
	c.keepTop(func(rank int, x candidate) bool {
		if rank >= t.minKeep && sum >= enough {
			return false
		}
		sum += weight(x.score, top)
		return true
	})
}

// minP keeps candidates whose probability is at least p times that of the best, and at least minKeep. Probabilities need
// not be computed for that: it compares scores with the best one plus log p.
type minP struct {
	logP    float64
	minKeep int
}

func (m minP) apply(c *candidates) {
	least := float64(c.best().score) + m.logP
	kept := 0
	for _, x := range c.list {
		if float64(x.score) >= least {
			kept++
		}
	}
	if kept < m.minKeep {
		c.keepTop(func(rank int, _ candidate) bool { return rank < m.minKeep })
		return
	}
	c.keep(func(x candidate) bool { return float64(x.score) >= least })
}
