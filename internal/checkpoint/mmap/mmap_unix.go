//go:build unix

package mmap

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, offset int64, size int) ([]byte, func() error, error) {
	data, err := unix.Mmap(int(f.Fd()), offset, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, err
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// Release says that part of a mapping was read and will not be needed soon: its pages leave this process' memory and stay in
// the system's cache. data may still be read; it must be of a mapping. Bytes on pages shared with other data are kept.
func Release(data []byte) {
	page := unix.Getpagesize()
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(data)))) & (page - 1)
	if skip >= len(data) {
		return
	}
	if whole := data[skip : skip+(len(data)-skip)&^(page-1)]; len(whole) > 0 {
		_ = unix.Madvise(whole, unix.MADV_DONTNEED) // advice only
	}
}

// Expect says that part of a mapping will be read soon: the system begins to read it from the disk.
func Expect(data []byte) {
	if len(data) == 0 {
		return
	}
	page := unix.Getpagesize()
	before := int(uintptr(unsafe.Pointer(unsafe.SliceData(data)))) & (page - 1) // a mapping begins on a page
	whole := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(data)), -before)), before+len(data))
	_ = unix.Madvise(whole, unix.MADV_WILLNEED) // advice only
}
