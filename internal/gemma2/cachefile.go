package gemma2

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A stored cache is the index of the first local page that is held (uint32), then the bytes of the pages from first to last:
// all global ones, then the local ones. Rows beyond the cache's length are zero: they may be another sequence's.

// storedBytes is the size of what Store writes, for a cache of n positions of which the local pages before firstLocal are gone.
func (p *Pool) storedBytes(n, firstLocal int) int64 {
	pages := (n + PageTokens - 1) / PageTokens
	return 4 + int64(pages)*int64(p.pageBytes(globalKind)) + int64(pages-firstLocal)*int64(p.pageBytes(localKind))
}

// FirstLocal is the index of the first local page that is not gone.
func (c *Cache) FirstLocal() (i int) {
	for i < len(c.pages[localKind]) && c.pages[localKind][i] == nil {
		i++
	}
	return i
}

// Sees is the index of the first local page that position n sees.
func (p *Pool) Sees(n int) int { return max(0, n-p.window+1) / PageTokens }

// Store writes the cache, so that Restore of a pool of the same model and type makes it again.
func (c *Cache) Store(w io.Writer) error {
	if err := binary.Write(w, binary.LittleEndian, uint32(c.FirstLocal())); err != nil {
		return err
	}
	pages := (c.n + PageTokens - 1) / PageTokens // there may be more, reserved for a pass that failed
	for _, kind := range []int{globalKind, localKind} {
		for i, pg := range c.pages[kind][:min(pages, len(c.pages[kind]))] {
			if pg == nil {
				continue
			}
			b := pg.block.Bytes()
			if used := c.n - i*PageTokens; used < PageTokens {
				b = c.pool.firstRows(kind, b, used)
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstRows is a copy of a page in which only the first n positions are not zero.
func (p *Pool) firstRows(kind int, page []byte, n int) []byte {
	out := make([]byte, len(page))
	row := p.typ.rowBytes(p.dim)
	if p.typ == KVI8 {
		row = p.dim
	}
	for at := 0; at < len(page); at += PageTokens * p.typ.rowBytes(p.dim) {
		copy(out[at:at+n*row], page[at:])
		if p.typ == KVI8 {
			scales := at + PageTokens*row
			copy(out[scales:scales+n*scaleBytes], page[scales:])
		}
	}
	return out
}

// Restore reads a cache of n positions that Store wrote, from exactly size bytes. The caller has made sure that they come
// from the same model, and checks the bytes; what can't be a cache of n positions is refused before memory is taken for it.
func (p *Pool) Restore(r io.Reader, n int, size int64) (*Cache, error) {
	var first uint32
	if err := binary.Read(r, binary.LittleEndian, &first); err != nil {
		return nil, err
	}
	pages := (n + PageTokens - 1) / PageTokens
	if n < 1 || int64(first) > int64(p.Sees(n)) || p.storedBytes(n, int(first)) != size {
		return nil, fmt.Errorf("stored KV cache: want %d bytes for %d positions, found %d from local page %d on", p.storedBytes(n, 0), n, size, first)
	}
	c := p.NewCache()
	for _, kind := range []int{globalKind, localKind} {
		for i := range pages {
			if p.layers[kind] == 0 {
				break
			}
			if kind == localKind && i < int(first) {
				c.pages[kind] = append(c.pages[kind], nil)
				continue
			}
			pg, err := p.take(kind, false)
			if err == nil {
				c.pages[kind] = append(c.pages[kind], pg)
				_, err = io.ReadFull(r, pg.block.Bytes())
			}
			if err != nil {
				c.Free()
				return nil, err
			}
		}
	}
	c.n = n
	return c, nil
}
