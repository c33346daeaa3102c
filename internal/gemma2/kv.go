package gemma2

import (
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

// rollback is how many of its last positions a cache can always forget again, as speculation does: local pages stay that
// much longer than the window needs them.
const rollback = PageTokens

// Cache holds the keys and values of one sequence. It is used by one forward pass at a time, and its methods by one
// goroutine at a time; pages are shared with its forks, and only written where no fork can see.
type Cache struct {
	pool   *Pool
	n      int        // positions held
	pages  [2][]*page // by position / PageTokens; nil where a local page has left the window
	pinned bool
}

// NewCache returns an empty cache.
func (p *Pool) NewCache() *Cache { return &Cache{pool: p} }

// Len is the number of positions held.
func (c *Cache) Len() int { return c.n }

// Bytes is the memory of the pages that c holds, alone or with others.
func (c *Cache) Bytes() (n int64) {
	for kind, pages := range c.pages {
		for _, pg := range pages {
			if pg != nil {
				n += int64(c.pool.pageBytes(kind))
			}
		}
	}
	return n
}

// Pin says whether a running request needs c: Pool.Pinned counts its pages then.
func (c *Cache) Pin(on bool) {
	if c.pinned == on {
		return
	}
	c.pinned = on
	by := 1
	if !on {
		by = -1
	}
	for kind, pages := range c.pages {
		for _, pg := range pages {
			if pg != nil {
				c.pool.pin(kind, pg, by)
			}
		}
	}
}

// CanTruncate says whether the cache still holds all that position n would see, so that Truncate and Fork can cut there.
func (c *Cache) CanTruncate(n int) bool {
	if n < 0 || n > c.n {
		return false
	}
	for i := c.pool.Sees(n); i*PageTokens < n; i++ {
		if c.pool.layers[localKind] > 0 && c.pages[localKind][i] == nil {
			return false
		}
	}
	return true
}

// Fork returns an unpinned cache of the first n positions, which shares all whole pages and has a copy of the last one if n
// is within it. c must be able to truncate to n. The error is ErrKVMemory.
func (c *Cache) Fork(n int) (*Cache, error) {
	f := &Cache{pool: c.pool}
	whole := n / PageTokens
	for kind := range c.pages {
		if c.pool.layers[kind] == 0 {
			continue
		}
		for _, pg := range c.pages[kind][:whole] {
			if pg != nil {
				c.pool.share(kind, pg, false)
			}
			f.pages[kind] = append(f.pages[kind], pg)
		}
	}
	if n > whole*PageTokens {
		if err := f.reserve(n); err != nil {
			f.Free()
			return nil, err
		}
		for kind := range c.pages {
			if c.pool.layers[kind] > 0 {
				copy(f.pages[kind][whole].block.Bytes(), c.pages[kind][whole].block.Bytes())
			}
		}
	}
	f.n = n
	return f, nil
}

// reserve makes sure that positions up to n have pages of their own. Pages stay with the cache when it fails half way.
func (c *Cache) reserve(n int) error {
	for kind := range c.pages {
		if c.pool.layers[kind] == 0 {
			continue
		}
		for len(c.pages[kind])*PageTokens < n {
			pg, err := c.pool.take(kind, c.pinned)
			if err != nil {
				return err
			}
			c.pages[kind] = append(c.pages[kind], pg)
		}
	}
	return nil
}

// advance counts k new positions and gives back local pages that no later position can see, nor any after a rollback:
// position i sees down to i-window+1, so a page ending at or before n-window is out of sight.
func (c *Cache) advance(k int) {
	c.n += k
	local := c.pages[localKind]
	for i := (c.n-rollback-c.pool.window+1)/PageTokens - 1; i >= 0 && i < len(local) && local[i] != nil; i-- {
		c.pool.give(localKind, local[i], c.pinned)
		local[i] = nil
	}
}

// Forgets says whether the next k positions make c give back local pages, so that it can't be cut before them any more.
func (c *Cache) Forgets(k int) bool {
	i := (c.n+k-rollback-c.pool.window+1)/PageTokens - 1
	local := c.pages[localKind]
	return i >= 0 && i < len(local) && local[i] != nil
}

// Truncate forgets all positions from n on. It reports false, and changes nothing, when the cache lacks local pages that
// position n would see: then the sequence must be computed again. A page that n is within must not be shared: Fork sees to it.
func (c *Cache) Truncate(n int) bool {
	if !c.CanTruncate(n) {
		return false
	}
	c.n = n
	c.shrink((n + PageTokens - 1) / PageTokens)
	return true
}

// Free gives all pages back; the cache is then empty and may be used again.
func (c *Cache) Free() {
	c.n = 0
	c.shrink(0)
}

// shrink gives back all pages from index keep on.
func (c *Cache) shrink(keep int) {
	for kind, pages := range c.pages {
		for i := keep; i < len(pages); i++ {
			if pages[i] != nil {
				c.pool.give(kind, pages[i], c.pinned)
			}
		}
		c.pages[kind] = pages[:min(keep, len(pages))]
	}
}

// rows returns the bytes of PageTokens consecutive keys (part 0) or values (part 1) of one layer and KV head, and their scales.
func (c *Cache) rows(layer, part, head, page int) []byte {
	p := c.pool
	size := PageTokens * p.typ.rowBytes(p.dim)
	at := ((p.slot[layer]*2+part)*p.heads + head) * size
	return c.pages[kindOf(p.global[layer])][page].block.Bytes()[at : at+size : at+size]
}

// scales returns the scales of a KVI8 cache's rows.
func (c *Cache) scales(layer, part, head, page int) []float32 {
	return offheap.Cast[float32](c.scaleBytes(layer, part, head, page))
}

func (c *Cache) scaleBytes(layer, part, head, page int) []byte {
	return c.rows(layer, part, head, page)[PageTokens*c.pool.dim:]
}

// store rounds one position's key or value of one head, x of the padded head dim, into the cache.
func (c *Cache) store(layer, part, head, pos int, x []float32) {
	page, i := pos/PageTokens, pos%PageTokens
	rows, lo, hi := c.rows(layer, part, head, page), i*len(x), (i+1)*len(x)
	switch c.pool.typ {
	case KVF32:
		copy(offheap.Cast[float32](rows)[lo:hi], x)
	case KVF16:
		kernel.ToF16(offheap.Cast[uint16](rows)[lo:hi], x)
	case KVI8:
		c.scales(layer, part, head, page)[i] = kernel.ToI8(offheap.Cast[int8](rows)[lo:hi], x)
	}
}
