package offheap

import "slices"

// Slab allocates blocks of one size side by side in large mappings, which on Linux may lie in huge pages: a core finds their
// addresses sooner than those of small mappings. It is not safe for concurrent use.
type Slab struct {
	size   int
	chunks []*chunk
}

// chunkBlocks is how many blocks a mapping has room for. Memory is taken by the blocks in use alone, but for the rest of a
// huge page.
const chunkBlocks = 16

// chunk is one mapping.
type chunk struct {
	region *Region
	free   []int // places without a block, the next one last
}

// NewSlab returns a slab for blocks of size bytes, a multiple of 64.
func NewSlab(size int) *Slab { return &Slab{size: size} }

// Alloc returns a block, or an error when the system has no memory for it. Its bytes may be anything. Its Free gives the
// memory back to the system, all but what a page of memory shares with a block beside it.
func (s *Slab) Alloc() (*Block, error) {
	c, err := s.room()
	if err != nil {
		return nil, err
	}
	last := len(c.free) - 1
	i := c.free[last]
	lo, hi := i*s.size, (i+1)*s.size
	if err := c.region.Use(lo, hi); err != nil {
		return nil, err
	}
	c.free = c.free[:last]
	return &Block{bytes: c.region.Bytes()[lo:hi:hi], release: func() error { return s.put(c, i) }}, nil
}

// room is the first chunk with a place for a block, a new one if need be.
func (s *Slab) room() (*chunk, error) {
	for _, c := range s.chunks {
		if len(c.free) > 0 {
			return c, nil
		}
	}
	r, err := Reserve(chunkBlocks * s.size)
	if err != nil {
		return nil, err
	}
	hugePages(r.Bytes())
	c := &chunk{region: r}
	for i := range chunkBlocks {
		c.free = append(c.free, chunkBlocks-1-i)
	}
	s.chunks = append(s.chunks, c)
	return c, nil
}

// put makes place i of c free, and unmaps a chunk that holds nothing any more.
func (s *Slab) put(c *chunk, i int) error {
	c.free = append(c.free, i)
	if len(c.free) < chunkBlocks {
		c.region.Discard(i*s.size, (i+1)*s.size)
		return nil
	}
	s.chunks = slices.DeleteFunc(s.chunks, func(d *chunk) bool { return d == c })
	return c.region.Free()
}
