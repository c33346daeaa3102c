//go:build unix && !linux

package offheap

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func reserve(size int) ([]byte, error) {
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	return m, nil
}

func commit([]byte) error { return nil } // by touching

func discard(m []byte) { _ = unix.Madvise(m, unix.MADV_FREE) } // at worst the memory stays ours
