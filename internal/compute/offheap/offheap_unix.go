//go:build unix

package offheap

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func system(size int) ([]byte, error) {
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", size, err)
	}
	hugePages(m)
	return m, nil
}

func release(m []byte) error { return unix.Munmap(m) }
