package gemma2

import (
	"errors"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// Forks go on independently of each other and of what they were made from, each as a fresh cache would; pages are shared.
func TestForksDoNotMeet(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 2, Options{})
	for _, typ := range []KVType{KVF32, KVF16, KVI8} {
		pool := NewPool(&w.Config, typ, 0)
		base := ids(160, 117, 1)
		origin := pool.NewCache()
		feed(t, m, origin, base, 128)
		for _, n := range []int{160, 130, 128, 127, 64} {
			f, err := origin.Fork(n)
			if err != nil {
				t.Fatal(err)
			}
			if f.Len() != n || f.Bytes() < pool.Need(n)/2 {
				t.Fatalf("fork at %d: %d positions, %d bytes", n, f.Len(), f.Bytes())
			}
			other := ids(40, 117, uint64(n))
			got := feed(t, m, f, other, 13)
			want := feed(t, m, pool.NewCache(), slices.Concat(base[:n], other), 64)[n:]
			if !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
				t.Fatalf("%v: fork at %d differs from a fresh cache", typ, n)
			}
			f.Free()
		}
		more := ids(40, 117, 9)
		got := feed(t, m, origin, more, 40)
		if want := feed(t, m, pool.NewCache(), slices.Concat(base, more), 100)[160:]; !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
			t.Fatalf("%v: forks changed their origin", typ)
		}
	}
}

// Pinned counts a page once however many pinned caches hold it, and not at all when none does.
func TestPinned(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 1, Options{})
	pool := NewPool(&w.Config, KVF16, 0)
	one := pool.Need(1)
	a := pool.NewCache()
	a.Pin(true)
	feed(t, m, a, ids(128, 117, 1), 128)
	if got := pool.Pinned(); got != 2*one {
		t.Fatalf("two pages of a pinned cache: %d, want %d", got, 2*one)
	}
	b, err := a.Fork(128)
	if err != nil {
		t.Fatal(err)
	}
	b.Pin(true)
	feed(t, m, b, ids(1, 117, 1), 1)
	if got := pool.Pinned(); got != 3*one {
		t.Fatalf("a fork and its own page: %d, want %d", got, 3*one)
	}
	a.Pin(false)
	if got := pool.Pinned(); got != 3*one {
		t.Fatalf("the fork still holds all: %d, want %d", got, 3*one)
	}
	b.Free()
	if got := pool.Pinned(); got != 0 || a.Len() != 128 {
		t.Fatalf("nothing pinned is left: %d, want 0", got)
	}
	a.Free()
	pool.Trim()
	if got := pool.Bytes(); got != 0 {
		t.Fatalf("trimmed pool: %d bytes, want 0", got)
	}
}

// Capacity is the inverse of Need, and a cache of that length fits into a pool with that limit.
func TestCapacity(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 1, Options{})
	probe := NewPool(&w.Config, KVF32, 0)
	for _, limit := range []int64{0, probe.Need(1) - 1, probe.Need(1), probe.Need(500), 3 * probe.Need(1000)} {
		n := probe.Capacity(limit)
		if probe.Need(n) > limit || probe.Need(n+1) <= limit {
			t.Errorf("Capacity(%d) = %d, whose Need is %d and that of one more %d", limit, n, probe.Need(n), probe.Need(n+1))
		}
		if n == 0 || n > 3000 {
			continue
		}
		pool := NewPool(&w.Config, KVF32, limit)
		feed(t, m, pool.NewCache(), ids(n, 117, 1), MaxRows) // fails when memory is short
		_, err := pool.NewCache().pool.take(globalKind, false)
		if n == probe.Capacity(probe.Need(1)) && !errors.Is(err, ErrKVMemory) {
			t.Errorf("a page beyond the limit: %v, want ErrKVMemory", err)
		}
	}
}
