package sampler

import (
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// mirostat draws from the candidates that surprise at most by mu bits, and moves mu so that the surprise of what is drawn
// stays near tau (S. Basu and others, "Mirostat", ICLR 2021). Version 1 estimates from Zipf's law how many these are,
// version 2 looks. It takes the place of the plain draw.
type mirostat struct {
	version      int
	tau, eta, mu float64

	drawn int32   // by the last call of draw; -1: none
	next  float64 // mu, should that token be accepted
}

func newMirostat(p *Params) *mirostat {
	m := &mirostat{version: p.Mirostat, tau: p.MirostatTau, eta: p.MirostatEta, drawn: -1}
	if m.tau == 0 {
		m.tau = 5
	}
	if m.eta == 0 {
		m.eta = 0.1
	}
	m.mu = 2 * m.tau
	return m
}

// draw chooses a candidate by the random number u. It leaves mu alone: accept moves it.
func (m *mirostat) draw(c *candidates, vocabulary int, u float64) int32 {
	m.truncate(c, vocabulary)
	id := c.draw(u)
	m.drawn, m.next = id, m.after(c, id)
	return id
}

func (m *mirostat) truncate(c *candidates, vocabulary int) {
	if m.version == 2 {
		top := c.best().score
		mass := c.mass(top)
		c.keepTop(func(_ int, x candidate) bool { return surprise(x, top, mass) <= m.mu })
		return
	}
	all := c.list
	c.keepTop(func(rank int, x candidate) bool { return rank < zipfTokens && x.possible() })
	k := m.zipf(c.list, vocabulary)
	if k >= zipfTokens && len(all) > len(c.list) {
		c.list, c.sorted = all, false
	}
	c.keepTop(func(rank int, _ candidate) bool { return float64(rank+1) <= k })
}

// zipfTokens are the best candidates from which the exponent of Zipf's law is estimated.
const zipfTokens = 100

// zipf is the number of candidates to keep: it may be below 1, and more than there are.
func (m *mirostat) zipf(best []candidate, vocabulary int) float64 {
	product, squares := 0.0, 0.0
	for i := range len(best) - 1 {
		t := portable.Log(float64(i+2) / float64(i+1))
		b := float64(best[i].score) - float64(best[i+1].score)
		product += float64(t * b)
		squares += float64(t * t)
	}
	s := product / squares
	e := s - 1
	k := portable.Pow(e*portable.Exp(m.mu*math.Ln2)/(1-portable.Pow(float64(vocabulary), -e)), 1/s)
	if !(k >= 0) || s == 0 { // one candidate, or all alike: no law
		return math.Inf(1)
	}
	return k
}

// after is what mu becomes when that candidate, one of those that are left, is accepted.
func (m *mirostat) after(c *candidates, id int32) float64 {
	top := c.best().score
	return m.mu - float64(m.eta*(surprise(*c.find(id), top, c.mass(top))-m.tau))
}

func (m *mirostat) accept(id int32) {
	if id == m.drawn {
		m.mu = m.next
	}
	m.drawn = -1
}

// surprise is that of a candidate in bits, given the best score and the mass of all.
func surprise(x candidate, top float32, mass float64) float64 {
	return (portable.Log(mass) - (float64(x.score) - float64(top))) / math.Ln2
}
