package offheap

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

func reserve(size int) ([]byte, error) {
	p, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), size), nil // as system does
}

func commit(m []byte) error {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(m)))
	if _, err := windows.VirtualAlloc(at, uintptr(len(m)), windows.MEM_COMMIT, windows.PAGE_READWRITE); err != nil {
		return fmt.Errorf("allocate %d bytes: %w", len(m), err)
	}
	return nil
}

func discard(m []byte) {
	_ = windows.VirtualFree(uintptr(unsafe.Pointer(unsafe.SliceData(m))), uintptr(len(m)), windows.MEM_DECOMMIT) // at worst the memory stays ours
}
