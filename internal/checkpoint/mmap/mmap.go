// Package mmap owns read-only mappings of files: model weights are read where the kernel keeps them, without a copy, and
// their pages are shared between processes.
//
// It must not know what is in a file.
package mmap

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"

	"github.com/systemgemma/systemgemma/internal/compute/parallel"
)

// File is a file mapped read-only.
type File struct {
	Data  []byte      // the whole file, or a section of it; valid until Close, and never written to
	Info  os.FileInfo // as it was when the file was opened
	unmap func() error
}

// ErrEmpty is wrapped by Open's error for a file of no bytes, which no system can map.
var ErrEmpty = errors.New("file is empty")

// ErrFault is wrapped by Guard's error. It is the error of a loop that meets the same fault.
var ErrFault = parallel.ErrFault

// Open maps a regular file. Anything else (a folder, a pipe, a device) is refused without being opened, since opening may block.
func Open(path string) (*File, error) { return open(path, 0, -1) }

// SectionAlign divides the offset of every section: no system maps from finer places than this.
const SectionAlign = 64 << 10

// OpenSection maps size bytes of a regular file from offset on, which is a multiple of SectionAlign.
func OpenSection(path string, offset, size int64) (*File, error) {
	if offset < 0 || offset%SectionAlign != 0 || size <= 0 {
		return nil, fmt.Errorf("%s: want a section of at least 1 byte from a multiple of %d on, found %d bytes from %d on", path, SectionAlign, size, offset)
	}
	return open(path, offset, size)
}

// open maps a section. A size of -1 means to the end.
func open(path string, offset, size int64) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: want a regular file, found %s", path, kind(info))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read: a mapping outlives its file, and Close has nothing to report
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	switch all := info.Size(); {
	case all == 0:
		return nil, fmt.Errorf("%s: %w", path, ErrEmpty)
	case size < 0:
		size = all
	case offset > all || size > all-offset:
		return nil, fmt.Errorf("%s: want %d bytes from %d on, found a file of %d bytes; get it again", path, size, offset, all)
	}
	if size < 0 || size > math.MaxInt {
		return nil, fmt.Errorf("%s: want at most %d bytes (this system's address space), found %d", path, math.MaxInt, size)
	}
	data, unmap, err := mapFile(f, offset, int(size))
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &File{Data: data, Info: info, unmap: unmap}, nil
}

// Close ends the mapping: every slice of Data becomes invalid. A second Close does nothing.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	unmap := f.unmap
	f.Data, f.unmap = nil, nil
	return unmap()
}

// Guard runs read and turns a fault in mapped memory (the file was truncated by someone else, or its disk failed) into an
// error. It covers the calling goroutine only: goroutines that read starts need their own Guard.
func Guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		fault, ok := r.(interface {
			error
			Addr() uintptr // only faults of memory have an address
		})
		if !ok {
			panic(r)
		}
		err = fmt.Errorf("%w; get the file again: %w", ErrFault, fault)
	}()
	return read()
}

func kind(info os.FileInfo) string {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return "a folder"
	case mode&os.ModeNamedPipe != 0:
		return "a pipe"
	case mode&os.ModeSocket != 0:
		return "a socket"
	case mode&os.ModeDevice != 0:
		return "a device"
	default:
		return mode.Type().String()
	}
}
