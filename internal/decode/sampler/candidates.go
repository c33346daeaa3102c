package sampler

import (
	"math"
	"math/bits"
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// A candidate is a token that may still be chosen.
type candidate struct {
	id    int32
	score float32 // a logit, changed by the steps so far; -Inf means that it can't be chosen
}

// candidates is what the steps work on: never empty.
type candidates struct {
	list   []candidate
	sorted bool        // list runs from best to worst score
	whole  bool        // list[i].id == i, all of the vocabulary
	room   []candidate // the whole scratch that list lies in
	sums   []float64   // scratch: see mass
	err    error       // of a step that could not be made
}

// A processor is one step between logits and draw: it changes scores or drops candidates, but never all of them.
type processor interface {
	apply(c *candidates)
}

// better is the order of candidates: by score, equals by id. It is total, so selection has one result.
func (x candidate) better(y candidate) bool {
	return x.score > y.score || x.score == y.score && x.id < y.id
}

// possible says whether it can be chosen.
func (x candidate) possible() bool { return x.score > float32(math.Inf(-1)) }

// reset makes every token of the vocabulary a candidate: list[i].id == i.
func (c *candidates) reset(logits []float32) {
	if cap(c.room) < len(logits) {
		c.room = make([]candidate, len(logits))
	}
	c.list, c.sorted, c.whole, c.err = c.room[:len(logits)], false, true, nil
	for i, x := range logits {
		c.list[i] = candidate{int32(i), x}
	}
}

// keepAllowed drops the candidates whose bit is not set, while the list is whole. It may drop all.
func (c *candidates) keepAllowed(allowed []uint64) {
	n := 0
	for w, word := range allowed[:min(len(allowed), (len(c.list)+63)/64)] {
		for ; word != 0; word &= word - 1 {
			if id := w*64 + bits.TrailingZeros64(word); id < len(c.list) {
				c.list[n] = c.list[id]
				n++
			}
		}
	}
	c.list, c.whole = c.list[:n], false
}

// best returns the best candidate.
func (c *candidates) best() candidate {
	best := c.list[0]
	if !c.sorted {
		for _, x := range c.list[1:] {
			if x.better(best) {
				best = x
			}
		}
	}
	return best
}

// keepTop sorts from the best down, only as far as more says, and drops the rest. more is asked about rank 0, 1 ... and
// never again after it said no; rank 0 is kept whatever it says.
func (c *candidates) keepTop(more func(rank int, x candidate) bool) {
	n := 0
	if c.sorted {
		for n < len(c.list) && (more(n, c.list[n]) || n == 0) {
			n++
		}
	} else {
		// Nearly always all that is kept lies near the best score, a small part of a vocabulary of 256,000 (e^-12 is its
		// share of the best's probability). Only while more wants still others, candidates farther off are looked at.
		top := c.best().score
		for _, reach := range [...]float32{12, 24, float32(math.Inf(1))} {
			near := partition(c.list[n:], top-reach)
			kept := sortTop(c.list[n:n+near], n, more)
			n += kept
			if kept < near {
				break
			}
		}
	}
	c.list, c.sorted, c.whole = c.list[:n], true, false
}

// keep drops all candidates but those that ok wants, of which there must be one, and leaves their order as it is.
func (c *candidates) keep(ok func(x candidate) bool) {
	n := 0
	for _, x := range c.list {
		if ok(x) {
			c.list[n] = x
			n++
		}
	}
	c.whole = c.whole && n == len(c.list)
	c.list = c.list[:n]
}

// find returns the candidate of that id, or nil.
func (c *candidates) find(id int32) *candidate {
	if c.whole {
		return &c.list[id]
	}
	for i := range c.list {
		if c.list[i].id == id {
			return &c.list[i]
		}
	}
	return nil
}

// each calls change with the candidates whose ids counts knows, each by itself: the order in which the map gives them changes
// nothing.
func (c *candidates) each(counts map[int32]int32, change func(x *candidate, count int32)) {
	if c.whole {
		for id, n := range counts {
			change(&c.list[id], n)
		}
		return
	}
	for i := range c.list {
		if n, ok := counts[c.list[i].id]; ok {
			change(&c.list[i], n)
		}
	}
	c.sorted = false
}

// partition moves the candidates whose score is at least least to the front and returns how many they are.
func partition(list []candidate, least float32) int {
	n := 0
	for i, x := range list {
		if x.score >= least {
			list[i], list[n] = list[n], x
			n++
		}
	}
	return n
}

// ordered is what can be sorted.
type ordered[T any] interface{ better(T) bool }

// sortTop sorts the front of list, from the best down, as far as more says, and returns how many it wanted. list[0] has the
// given rank. A heap gives up its root while more wants it: n + kept*log n steps, where sorting all would need n*log n.
func sortTop[T ordered[T]](list []T, rank int, more func(rank int, x T) bool) int {
	for i := len(list)/2 - 1; i >= 0; i-- {
		sink(list, i)
	}
	end := len(list) // the heap is list[:end]; list[end:] was taken out, the best at the end
	for end > 0 && (more(rank, list[0]) || rank == 0) {
		end--
		list[0], list[end] = list[end], list[0]
		sink(list[:end], 0)
		rank++
	}
	taken := list[end:]
	slices.Reverse(taken)
	return copy(list, taken)
}

// sink lets heap[i] go down until none of its children is better.
func sink[T ordered[T]](heap []T, i int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && heap[child+1].better(heap[child]) {
			child++
		}
		if !heap[child].better(heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// draw returns the first candidate, in the order of the list, at which the running sum of probabilities exceeds u of the
// whole; u in [0, 1). Sums run over blocks as in mass, and candidate by candidate in the block where that comes about.
func (c *candidates) draw(u float64) int32 {
	top := c.best().score
	target := u * c.mass(top)
	run, last := 0.0, int32(0)
	for i, sum := range c.sums {
		next := run + sum
		if next > target {
			for _, x := range c.list[i*sumBlock : min((i+1)*sumBlock, len(c.list))] {
				if w := weight(x.score, top); w > 0 {
					if run, last = run+w, x.id; run > target {
						break
					}
				}
			}
			break
		}
		run = next
	}
	return last
}

// mass is the sum of all weights: of blocks, which it leaves in sums, added in the order of the list.
func (c *candidates) mass(top float32) float64 {
	room := sumRooms.Get().(*[sumBlock]float32)
	defer sumRooms.Put(room)
	c.sums = c.sums[:0]
	total := 0.0
	for at := 0; at < len(c.list); at += sumBlock {
		sum := blockMass(c.list[at:min(at+sumBlock, len(c.list))], top, room)
		c.sums = append(c.sums, sum)
		total += sum
	}
	return total
}

// blockMass is the sum of the weights of at most sumBlock candidates. As in logSumExp, float32 does where all are far below top.
func blockMass(block []candidate, top float32, room *[sumBlock]float32) float64 {
	best := float32(math.Inf(-1))
	for i, x := range block {
		room[i] = x.score
		best = max(best, x.score)
	}
	n := len(block)
	for ; n%16 != 0; n++ {
		room[n] = float32(math.Inf(-1))
	}
	if best < top-farBelow {
		return float64(kernel.ExpSum(room[:n], top))
	}
	return kernel.ExpSum64(room[:n], top)
}

// entropy is that of the candidates' probabilities, in nats, and mass, both added in the order of the list.
func (c *candidates) entropy(top float32) (h, mass float64) {
	product := 0.0
	for _, x := range c.list {
		if w := weight(x.score, top); w > 0 {
			mass += w
			product += float64(w * (float64(x.score) - float64(top)))
		}
	}
	return max(0, portable.Log(mass)-product/mass), mass
}

// weight is the probability of score in units of that of top, the best score.
func weight(score, top float32) float64 { return portable.ExpNeg(float64(score) - float64(top)) }

// change gives the candidate a new score. An overflow becomes the largest finite number, so that arithmetic makes no
// infinity; a candidate that can't be chosen stays so.
func (x *candidate) change(score float32) {
	if x.possible() {
		x.score = min(max(score, -math.MaxFloat32), math.MaxFloat32)
	}
}
