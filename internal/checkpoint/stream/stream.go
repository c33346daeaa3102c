// Package stream owns files of weights that arrive in their order while they are used: each has its place in address space, where its
// bytes are from when they came until they are passed, so that a model is converted while it is fetched, in little memory and
// without a copy on the disk. The bytes are hashed as they come, and work that was interrupted goes on behind the last hash that was
// written down.
//
// It must not know how bytes travel, nor what they mean beyond where a safetensors header ends.
package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"sync"
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

// ErrMismatch says that the bytes of a file are not those that were promised: what was made of them is worthless.
var ErrMismatch = errors.New("the bytes are not the file's")

// File is a file to come, in the order of Open's list.
type File struct {
	Name string
	Size int64
	Sum  []byte           // that Hash must give of all bytes
	Hash func() hash.Hash // new, and able to tell its state (encoding.BinaryMarshaler), as those of the standard library
}

// Opener gives a file's bytes from an offset on.
type Opener func(ctx context.Context, name string, offset int64) (io.ReadCloser, error)

// Window is how many bytes may have come and not be passed.
const Window = 256 << 20

// chunk is what is read at a time.
const chunk = 1 << 20

// Stream is the files. After Begin, one goroutine reads them, and one other calls Await, Passed and Verify.
type Stream struct {
	open   Opener
	files  []*file
	window int64
	every  int64 // bytes between two states of a hash that are written down

	mu      sync.Mutex
	changed chan struct{} // closed and made anew with every change of what follows; guarded by mu
	passed  int64         // order before which nothing is read any more; guarded by mu
	err     error         // why no more will come; guarded by mu

	journal *journal
	cancel  context.CancelFunc // nil: not begun
	done    chan struct{}
}

type file struct {
	File
	region  *offheap.Region
	base    int64 // order of its first byte
	header  []byte
	bounds  []int64 // offsets where something ends, ascending: only there a state can be taken up again
	from    int64   // offset at which the first byte is asked for
	state   []byte  // of the hash there; nil: new
	arrived int64   // offset up to which bytes have come, from from on; guarded by Stream.mu
	whole   bool    // all came and their hash is right; guarded by Stream.mu
}

// maxHeader bounds what is read before anything is known to be right; headers of models are far smaller.
const maxHeader = 16 << 20

// Open reads the headers of safetensors files. Their weights come after Begin.
func Open(ctx context.Context, files []File, open Opener) (*Stream, error) {
	s := &Stream{open: open, window: Window, changed: make(chan struct{}), done: make(chan struct{})}
	base := int64(0)
	for _, f := range files {
		if f.Size < 8 || f.Size > math.MaxInt64-base-1<<20 || int64(int(f.Size)) != f.Size {
			return nil, errors.Join(fmt.Errorf("%s: want a file of 8 bytes or more, found %d", f.Name, f.Size), s.Close())
		}
		x := &file{File: f, base: base}
		base += f.Size
		var err error
		if x.region, err = offheap.Reserve(int(f.Size)); err == nil {
			s.files = append(s.files, x)
			err = s.readHeader(ctx, x)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", f.Name, err), s.Close())
		}
	}
	s.every = min(max(base/16, 64<<10), 64<<20)
	return s, nil
}

func (s *Stream) readHeader(ctx context.Context, f *file) error {
	r, err := s.open(ctx, f.Name, 0)
	if err != nil {
		return err
	}
	defer r.Close() // only read
	var length [8]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader || int64(n) > f.Size-8 {
		return fmt.Errorf("header length: want at most %d, found %d; this is no safetensors file", min(maxHeader, f.Size-8), n)
	}
	f.header = make([]byte, 8+n)
	copy(f.header, length[:])
	if _, err := io.ReadFull(r, f.header[8:]); err != nil {
		return err
	}
	if err := f.region.Use(0, len(f.header)); err != nil {
		return err
	}
	copy(f.region.Bytes(), f.header)
	return nil
}

// Data is the place of a file: whole in length, but holding its header only until the rest comes.
func (s *Stream) Data(name string) ([]byte, bool) {
	for _, f := range s.files {
		if f.Name == name {
			return f.region.Bytes(), true
		}
	}
	return nil, false
}

// Identity tells streams apart whose bytes could differ.
func (s *Stream) Identity() []byte {
	h := sha256.New() // which never returns an error
	for _, f := range s.files {
		fmt.Fprintf(h, "%q %d %x\n", f.Name, f.Size, f.Sum)
	}
	return h.Sum(nil)
}

// place finds the file that holds data, which is a part of Data's.
func (s *Stream) place(data []byte) (f *file, offset int64) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	for _, f := range s.files {
		start := uintptr(unsafe.Pointer(unsafe.SliceData(f.region.Bytes())))
		if at >= start && at-start <= uintptr(f.Size) {
			return f, int64(at - start)
		}
	}
	panic("stream: bytes that are not of a file")
}

// Order is where a part of the files' data comes: later parts have larger numbers.
func (s *Stream) Order(data []byte) int64 {
	f, offset := s.place(data)
	return f.base + offset
}

// Await returns when all of data is there, or with the reason why it will not come.
func (s *Stream) Await(ctx context.Context, data []byte) error {
	f, offset := s.place(data)
	end := offset + int64(len(data))
	return s.wait(ctx, func() (bool, error) {
		if f.arrived >= end {
			return true, nil
		}
		return false, s.err
	})
}

// Verify returns when all bytes came, and whether they are the files'. Nothing is read any more.
func (s *Stream) Verify(ctx context.Context) error {
	end := int64(0)
	for _, f := range s.files {
		end = f.base + f.Size
	}
	s.Passed(end)
	return s.wait(ctx, func() (bool, error) {
		for _, f := range s.files {
			if !f.whole {
				return false, s.err
			}
		}
		return true, nil
	})
}

// Passed says that nothing before that order will be read any more: its memory is given back, now or when it has come.
func (s *Stream) Passed(order int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.passed
	s.passed = max(s.passed, order)
	s.news()
	for _, f := range s.files { // not what is being written; from the page on that was kept for it
		f.discard(was-f.base-chunk, min(order-f.base, f.arrived))
	}
}

// discard gives back the pages of [lo, hi), and one that began before and ends in it.
func (f *file) discard(lo, hi int64) {
	if lo = max(lo-1<<16, 0); lo < hi {
		f.region.Discard(int(lo), int(hi))
	}
}

// news wakes who waits. s.mu is held.
func (s *Stream) news() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait calls ready, with s.mu held, until it says true or gives an error.
func (s *Stream) wait(ctx context.Context, ready func() (bool, error)) error {
	for {
		s.mu.Lock()
		ok, err := ready()
		changed := s.changed
		s.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close ends the reading and frees the memory. What is written down stays for the next attempt.
func (s *Stream) Close() error {
	var errs []error
	if s.cancel != nil {
		s.cancel()
		<-s.done
		errs = append(errs, s.journal.close())
		s.cancel = nil
	}
	for _, f := range s.files {
		errs = append(errs, f.region.Free())
	}
	s.files = nil
	return errors.Join(errs...)
}

// headerChanged reports bytes that differ from those that Open read.
func (f *file) headerChanged(b []byte, at int64) bool {
	if at >= int64(len(f.header)) {
		return false
	}
	h := f.header[at:]
	n := min(len(h), len(b))
	return !bytes.Equal(h[:n], b[:n])
}
