package mmap

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

func mapFile(f *os.File, offset int64, size int) ([]byte, func() error, error) {
	mapping, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READONLY, 0, 0, nil)
	if err != nil {
		return nil, nil, err
	}
	addr, err := windows.MapViewOfFile(mapping, windows.FILE_MAP_READ, uint32(offset>>32), uint32(offset), uintptr(size))
	if err != nil {
		return nil, nil, errors.Join(err, windows.CloseHandle(mapping))
	}
	// The address comes from the system, not from Go's heap; reading it through a pointer keeps vet's rule on uintptr.
	data := unsafe.Slice(*(**byte)(unsafe.Pointer(&addr)), size)
	unmap := func() error {
		return errors.Join(windows.UnmapViewOfFile(addr), windows.CloseHandle(mapping))
	}
	return data, unmap, nil
}

// Release does nothing here: the system takes pages back by itself.
func Release([]byte) {}

// Expect does nothing here: the system reads ahead by itself.
func Expect([]byte) {}
