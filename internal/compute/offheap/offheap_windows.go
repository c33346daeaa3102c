package offheap

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

func system(size int) ([]byte, error) {
	p, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_COMMIT|windows.MEM_RESERVE, windows.PAGE_READWRITE)
	if err != nil {
		return nil, fmt.Errorf("allocate %d bytes: %w", size, err)
	}
	// The address is no Go pointer; converting it in place of the variable keeps vet's rule about unsafe.Pointer.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), size), nil
}

func release(m []byte) error {
	return windows.VirtualFree(uintptr(unsafe.Pointer(unsafe.SliceData(m))), 0, windows.MEM_RELEASE)
}
