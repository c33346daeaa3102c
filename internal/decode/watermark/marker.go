package watermark

import "slices"

// A Marker marks one answer. It is not safe for concurrent use.
type Marker struct {
	config  Config
	table   []uint8
	context []int32  // the last NgramLen-1 tokens of the answer; zeros before it
	seen    []uint64 // hashes of the last contexts, a ring that begins with zeros
	next    int      // where the next one goes in seen
	calls   int      // tokens accepted
}

// New checks c and makes the marker of an answer without tokens.
func New(c Config) (*Marker, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	c.Keys = slices.Clone(c.Keys)
	return &Marker{
		config: c, table: newTable(c.TableSize, c.TableSeed), context: make([]int32, c.NgramLen-1), seen: make([]uint64, c.ContextHistory),
	}, nil
}

// Mark changes the probabilities of the tokens ids, which sum to 1 and still do afterwards. It leaves them alone, and returns
// false, after a context that was marked before. It has no effect on the marker: Accept has.
func (m *Marker) Mark(ids []int32, probs []float64) bool {
	h := hashAll(1, m.context)
	if m.skips() || slices.Contains(m.seen, h) {
		return false
	}
	for _, key := range m.config.Keys {
		mean := 0.0
		for i, p := range probs {
			if bit(m.table, hash(hash(h, int64(ids[i])), key)) == 1 {
				mean += p
			}
		}
		for i, p := range probs {
			if bit(m.table, hash(hash(h, int64(ids[i])), key)) == 1 {
				probs[i] = float64(p * (2 - mean))
			} else {
				probs[i] = float64(p * (1 - mean))
			}
		}
	}
	return true
}

// skips says whether the context is one of the first, which the options leave alone.
func (m *Marker) skips() bool { return m.config.SkipFirst && m.calls+1 < m.config.NgramLen }

// Accept adds a token to the answer.
func (m *Marker) Accept(id int32) {
	if !m.skips() {
		m.seen[m.next] = hashAll(1, m.context)
		m.next = (m.next + 1) % len(m.seen)
	}
	m.calls++
	copy(m.context, m.context[1:])
	m.context[len(m.context)-1] = id
}

func hashAll(h uint64, ids []int32) uint64 {
	for _, id := range ids {
		h = hash(h, int64(id))
	}
	return h
}
