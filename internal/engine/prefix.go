package engine

import (
	"slices"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// prefixCache keeps the caches of finished requests. They share the pages of common beginnings, so that a list does what a
// radix tree over pages does, and a search through it is short beside a step: most entries differ at an early token.
type prefixCache struct {
	entries []entry // least recently used first
}

// entry is a cache and the tokens whose keys and values it holds.
type entry struct {
	tokens []int32
	space  string // that they belong to
	cache  *gemma2.Cache
}

// add takes over a cache, and drops those that hold a beginning of it only and serve no purpose of their own: what they
// can be cut to, it can be cut to as well.
func (p *prefixCache) add(tokens []int32, space string, c *gemma2.Cache) {
	if len(tokens) == 0 {
		c.Free()
		return
	}
	p.entries = slices.DeleteFunc(p.entries, func(old entry) bool {
		n := len(old.tokens)
		if n > len(tokens) || old.space != space || !c.CanTruncate(n) || !slices.Equal(old.tokens, tokens[:n]) {
			return false
		}
		old.cache.Free()
		return true
	})
	p.entries = append(p.entries, entry{slices.Clone(tokens), space, c})
}

// match finds the entry of the same space with the longest beginning of tokens, at most most of them, that a fork can
// start from.
func (p *prefixCache) match(tokens []int32, space string, most int) (i, n int) {
	i = -1
	for j := range p.entries {
		if p.entries[j].space != space {
			continue
		}
		if k := min(common(p.entries[j].tokens, tokens), most); k > n && p.entries[j].cache.CanTruncate(k) {
			i, n = j, k
		}
	}
	return i, n
}

// use moves entry i behind all others.
func (p *prefixCache) use(i int) {
	e := p.entries[i]
	p.entries = append(slices.Delete(p.entries, i, i+1), e)
}

// evict makes the least recently used entry shorter by its last page, or drops it: beginnings that several requests share
// go last. It reports false when there is nothing to evict.
func (p *prefixCache) evict() bool {
	if len(p.entries) == 0 {
		return false
	}
	e := &p.entries[0]
	n := (len(e.tokens) - 1) / gemma2.PageTokens * gemma2.PageTokens
	if n > 0 && e.cache.Truncate(n) {
		e.tokens = e.tokens[:n]
		return true
	}
	e.cache.Free()
	p.entries = slices.Delete(p.entries, 0, 1)
	return true
}

func (p *prefixCache) evictAll() {
	for _, e := range p.entries {
		e.cache.Free()
	}
	p.entries = nil
}

// common is the length of the longest common beginning.
func common(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
