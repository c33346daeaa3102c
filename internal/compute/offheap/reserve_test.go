package offheap

import "testing"

// A region far larger than what is used of it keeps what was written, but where it was discarded.
func TestRegion(t *testing.T) {
	const size = 1<<36 + 123
	r, err := Reserve(size)
	if err != nil {
		t.Fatal(err)
	}
	b := r.Bytes()
	if len(b) != size {
		t.Fatalf("%d bytes, want %d", len(b), size)
	}
	for _, at := range []int{0, 3*page - 1, 3 * page, 1 << 35, size - 1} {
		if err := r.Use(at, at+1); err != nil {
			t.Fatal(err)
		}
		b[at] = 7
	}
	r.Discard(1, 3*page) // pages 1 and 2
	r.Discard(5, 5)
	for _, at := range []int{0, 3 * page, 1 << 35, size - 1} {
		if b[at] != 7 {
			t.Errorf("byte %d is lost", at)
		}
	}
	if err := r.Use(3*page-1, 3*page); err != nil {
		t.Fatal(err)
	}
	b[3*page-1] = 8
	if b[0] != 7 || b[3*page-1] != 8 {
		t.Error("used again, a page does not keep what is written")
	}
	for range 2 { // freeing twice is harmless
		if err := r.Free(); err != nil {
			t.Fatal(err)
		}
	}
}
