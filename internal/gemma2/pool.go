package gemma2

import (
	"errors"
	"fmt"
	"sync"

	"github.com/systemgemma/systemgemma/internal/arch"
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

// page is the memory of PageTokens positions of all layers of one kind. Caches share it.
type page struct {
	block *offheap.Block
	refs  int // guarded by Pool.mu; caches that hold it
	pins  int // guarded by Pool.mu; pinned caches among them
}

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
	slabs   [2]*offheap.Slab    // guarded by mu; of pages
	free    [2][]*offheap.Block // guarded by mu
	held    int64               // guarded by mu; bytes of all pages, free ones included
	pinned  int64               // guarded by mu; bytes of pages that pinned caches hold
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
	for k := range p.slabs {
		p.slabs[k] = offheap.NewSlab(p.pageBytes(k))
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

// Limit is the most bytes that all pages may take; 0: no bound.
func (p *Pool) Limit() int64 { return p.limit }

// Bytes is the memory of all pages, those that wait for reuse included.
func (p *Pool) Bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Pinned is the memory of the pages that pinned caches hold: what can't be had back before they end.
func (p *Pool) Pinned() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pinned
}

// Idle is the memory of pages that only caches hold which are not pinned.
func (p *Pool) Idle() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.held - p.pinned
	for kind, blocks := range p.free {
		n -= int64(len(blocks)) * int64(p.pageBytes(kind))
	}
	return n
}

// Need is the most memory that a cache of n positions takes while it grows to them.
func (p *Pool) Need(n int) int64 {
	pages := (n + PageTokens - 1) / PageTokens
	local := min(pages, (p.window+rollback+MaxRows+PageTokens-1)/PageTokens+1)
	return int64(pages)*int64(p.pageBytes(globalKind)) + int64(local)*int64(p.pageBytes(localKind))
}

// Capacity is the most positions whose Need is within n bytes.
func (p *Pool) Capacity(n int64) int {
	lo, hi := 0, 1
	for p.Need(hi*PageTokens) <= n && hi < 1<<30 {
		lo, hi = hi, 2*hi
	}
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; p.Need(mid*PageTokens) <= n {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo * PageTokens
}

// take returns a page with one reference, pinned or not.
func (p *Pool) take(kind int, pinned bool) (*page, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := p.alloc(kind)
	if err != nil {
		return nil, err
	}
	pg := &page{block: b, refs: 1}
	if pinned {
		pg.pins = 1
		p.pinned += int64(p.pageBytes(kind))
	}
	return pg, nil
}

// alloc finds memory for a page: a free one, else new memory, for which free pages of the other kind make room. p.mu is held.
func (p *Pool) alloc(kind int) (*offheap.Block, error) {
	if n := len(p.free[kind]); n > 0 {
		b := p.free[kind][n-1]
		p.free[kind] = p.free[kind][:n-1]
		return b, nil
	}
	size := int64(p.pageBytes(kind))
	for other := 1 - kind; p.limit > 0 && p.held+size > p.limit && len(p.free[other]) > 0; {
		last := len(p.free[other]) - 1
		p.drop(p.free[other][last])
		p.free[other] = p.free[other][:last]
	}
	if p.limit > 0 && p.held+size > p.limit {
		return nil, fmt.Errorf("%w: %d of %d bytes in use", ErrKVMemory, p.held, p.limit)
	}
	b, err := p.slabs[kind].Alloc()
	if err == nil {
		p.held += size
	}
	return b, err
}

// share counts another cache that holds pg.
func (p *Pool) share(kind int, pg *page, pinned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pg.refs++
	if pinned {
		p.addPin(kind, pg, 1)
	}
}

// pin counts a holder of pg as pinned, or with -1 no more.
func (p *Pool) pin(kind int, pg *page, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addPin(kind, pg, by)
}

func (p *Pool) addPin(kind int, pg *page, by int) {
	was := pg.pins > 0
	pg.pins += by
	switch is := pg.pins > 0; {
	case is && !was:
		p.pinned += int64(p.pageBytes(kind))
	case was && !is:
		p.pinned -= int64(p.pageBytes(kind))
	}
}

// give ends a cache's hold on pg, whose memory is free when it was the last one.
func (p *Pool) give(kind int, pg *page, pinned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pinned {
		p.addPin(kind, pg, -1)
	}
	if pg.refs--; pg.refs > 0 {
		return
	}
	if p.closing {
		p.drop(pg.block)
		return
	}
	p.free[kind] = append(p.free[kind], pg.block)
}

// drop gives a page's memory back to the system. p.mu is held.
func (p *Pool) drop(b *offheap.Block) {
	p.held -= int64(len(b.Bytes()))
	_ = b.Free() // a place in our own mapping: cannot fail
}

// Trim gives the memory of pages that no cache holds back to the system.
func (p *Pool) Trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for kind, blocks := range p.free {
		for _, b := range blocks {
			p.drop(b)
		}
		p.free[kind] = nil
	}
}

// Close frees all pages that no cache holds; those held are freed when their caches are.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.Trim()
}
