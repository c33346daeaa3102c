//go:build unix

// Package guard places test data against unmapped memory, so that a kernel that touches one byte too many faults.
//
// For tests only; it knows bytes, not what they mean.
package guard

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Copy returns a copy of s whose last byte is the last one before an unmapped page. Writing to it is allowed.
func Copy[T any](t TB, s []T) []T { return place(t, s, true) }

// CopyFront returns a copy of s whose first byte follows an unmapped page.
func CopyFront[T any](t TB, s []T) []T { return place(t, s, false) }

func place[T any](t TB, s []T, atEnd bool) []T {
	t.Helper()
	if len(s) == 0 {
		return s
	}
	page := unix.Getpagesize()
	size := len(s) * int(unsafe.Sizeof(s[0]))
	room := (size + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, room+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	cleanup(t, m)
	for _, edge := range [][]byte{m[:page], m[page+room:]} {
		if err := unix.Mprotect(edge, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	at := page
	if atEnd {
		at = page + room - size
	}
	out := unsafe.Slice((*T)(unsafe.Pointer(&m[at])), len(s))
	copy(out, s)
	return out
}

// cleanup unmaps m when the test, or one check of a property, ends.
func cleanup(t TB, m []byte) {
	t.Cleanup(func() { _ = unix.Munmap(m) }) // the mapping is ours and whole: Munmap cannot fail
}
