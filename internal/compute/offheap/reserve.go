package offheap

// Region is address space that takes memory only where it was written: room for a file that is never there as a whole.
type Region struct{ bytes []byte }

// Reserve returns a region of size bytes, more than the machine's memory if need be, or an error when the system has no such space.
func Reserve(size int) (*Region, error) {
	if size == 0 {
		return &Region{}, nil
	}
	bytes, err := reserve(size)
	if err != nil {
		return nil, err
	}
	return &Region{bytes}, nil
}

// Bytes is the region. Only what Use was told of may be touched.
func (r *Region) Bytes() []byte { return r.bytes }

// Use says that bytes [lo, hi) will be touched.
func (r *Region) Use(lo, hi int) error {
	if lo >= hi {
		return nil
	}
	return commit(r.bytes[lo:hi])
}

// page is a size that the pages of all systems divide.
const page = 64 << 10

// Discard gives back the memory of the pages that lie in [lo, hi) as a whole. They must be used again before they are touched.
func (r *Region) Discard(lo, hi int) {
	if lo, hi = (lo+page-1)&^(page-1), hi&^(page-1); lo < hi {
		discard(r.bytes[lo:hi])
	}
}

// Free gives all back. Any later use of the bytes faults.
func (r *Region) Free() error {
	raw := r.bytes
	r.bytes = nil
	if raw == nil {
		return nil
	}
	return release(raw)
}
