package gemma2

import (
	"errors"
	"fmt"
	"sync"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

// PageTokens is the number of positions that one KV page holds.
const PageTokens = 64

// KVType is the number type of cached keys and values. They are rounded when written, and attention reads what was written.
type KVType uint8

const (
	// KVF32 keeps float32: exact.
	KVF32 KVType = iota
	// KVF16 keeps IEEE half precision.
	KVF16
	// KVI8 keeps int8 and a float32 scale for each key and value of one head: absmax/127, as kernel.ToI8 rounds.
	KVI8
)

// rowBytes is the size of one key or value of dim numbers, its scale included.
func (t KVType) rowBytes(dim int) int {
	switch t {
	case KVF16:
		return 2 * dim
	case KVI8:
		return dim + scaleBytes
	}
	return 4 * dim
}

// scaleBytes is the size of a row's scale, a float32: of 256 numbers it takes 1.6 %, and no range is lost as in half precision.
const scaleBytes = 4

// String is the name as options give it.
func (t KVType) String() string {
	switch t {
	case KVF16:
		return "f16"
	case KVI8:
		return "int8"
	}
	return "f32"
}

// ErrKVMemory says that a pool's limit does not leave room for more pages.
var ErrKVMemory = errors.New("KV memory limit reached")

// Pool owns the KV pages of one model. A page holds PageTokens positions of all layers of one kind, local or global:
// shape [layers of the kind][key, value][KV heads][PageTokens][head dim padded to 16]; in KVI8 the PageTokens scales of a layer,
// part and head follow its rows. Safe for concurrent use.
type Pool struct {
	typ     KVType
	heads   int
	dim     int    // head dim, padded
	layers  [2]int // how many layers of each kind
	window  int
	slot    []int // per layer: its index among the layers of its kind
	global  []bool
	limit   int64
	mu      sync.Mutex
	free    [2][]*offheap.Block // guarded by mu
	held    int64               // guarded by mu; bytes of all pages, free ones included
	closing bool                // guarded by mu
}

// The two kinds of layers, indices of Pool.layers and Cache.pages.
const (
	localKind = iota
	globalKind
)

// NewPool makes an empty pool for models of config c. limit bounds the bytes of all pages; 0 means no bound.
func NewPool(c *arch.Config, typ KVType, limit int64) *Pool {
	p := &Pool{typ: typ, heads: c.NumKVHeads, dim: pad16(c.HeadDim), window: c.SlidingWindow, global: c.Global, limit: limit}
	for _, g := range c.Global {
		k := kindOf(g)
		p.slot = append(p.slot, p.layers[k])
		p.layers[k]++
	}
	return p
}

func kindOf(global bool) int {
	if global {
		return globalKind
	}
	return localKind
}

// pageBytes is the size of one page of a kind.
func (p *Pool) pageBytes(kind int) int {
	return p.layers[kind] * 2 * p.heads * PageTokens * p.typ.rowBytes(p.dim)
}

// Bytes is the memory of all pages, those that wait for reuse included.
func (p *Pool) Bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Need is the most memory that a cache of n positions takes.
func (p *Pool) Need(n int) int64 {
	pages := (n + PageTokens - 1) / PageTokens
	local := min(pages, (p.window+PageTokens-1)/PageTokens+1)
	return int64(pages)*int64(p.pageBytes(globalKind)) + int64(local)*int64(p.pageBytes(localKind))
}

func (p *Pool) take(kind int) (*offheap.Block, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free[kind]); n > 0 {
		b := p.free[kind][n-1]
		p.free[kind] = p.free[kind][:n-1]
		return b, nil
	}
	size := int64(p.pageBytes(kind))
	if p.limit > 0 && p.held+size > p.limit {
		return nil, fmt.Errorf("%w: %d of %d bytes in use", ErrKVMemory, p.held, p.limit)
	}
	b, err := offheap.Alloc(int(size))
	if err == nil {
		p.held += size
	}
	return b, err
}

func (p *Pool) give(kind int, b *offheap.Block) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		p.held -= int64(len(b.Bytes()))
		_ = b.Free() // our own whole mapping: cannot fail
		return
	}
	p.free[kind] = append(p.free[kind], b)
}

// Close frees all pages that no cache holds; those held are freed when their caches are.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closing = true
	free := p.free
	p.free = [2][]*offheap.Block{}
	p.mu.Unlock()
	for kind, blocks := range free {
		for _, b := range blocks {
			p.give(kind, b)
		}
	}
}

// Cache holds the keys and values of one sequence. It is used by one forward pass at a time.
type Cache struct {
	pool  *Pool
	n     int                 // positions held
	pages [2][]*offheap.Block // by position / PageTokens; nil where a local page has left the window
}

// NewCache returns an empty cache.
func (p *Pool) NewCache() *Cache { return &Cache{pool: p} }

// Len is the number of positions held.
func (c *Cache) Len() int { return c.n }

// reserve makes sure that positions up to n have pages. Pages stay with the cache when it fails half way.
func (c *Cache) reserve(n int) error {
	for kind := range c.pages {
		if c.pool.layers[kind] == 0 {
			continue
		}
		for len(c.pages[kind])*PageTokens < n {
			b, err := c.pool.take(kind)
			if err != nil {
				return err
			}
			c.pages[kind] = append(c.pages[kind], b)
		}
	}
	return nil
}

// advance counts k new positions and gives back local pages that no later position can see: position i sees down to
// i-window+1, so a page ending at or before n-window is out of sight.
func (c *Cache) advance(k int) {
	c.n += k
	local := c.pages[localKind]
	for i := (c.n-c.pool.window+1)/PageTokens - 1; i >= 0 && i < len(local) && local[i] != nil; i-- {
		c.pool.give(localKind, local[i])
		local[i] = nil
	}
}

// Truncate forgets all positions from n on. It reports false, and changes nothing, when the cache lacks local pages that
// position n would see: then the sequence must be computed again.
func (c *Cache) Truncate(n int) bool {
	if n < 0 || n > c.n {
		return false
	}
	for i := max(0, n-c.pool.window+1) / PageTokens; i*PageTokens < n; i++ {
		if c.pool.layers[localKind] > 0 && c.pages[localKind][i] == nil {
			return false
		}
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
				c.pool.give(kind, pages[i])
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
	return c.pages[kindOf(p.global[layer])][page].Bytes()[at : at+size : at+size]
}

// scales returns the scales of a KVI8 cache's rows.
func (c *Cache) scales(layer, part, head, page int) []float32 {
	return offheap.Cast[float32](c.rows(layer, part, head, page)[PageTokens*c.pool.dim:])
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
