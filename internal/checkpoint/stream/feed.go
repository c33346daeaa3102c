package stream

import (
	"bytes"
	"context"
	"encoding"
	"fmt"
	"hash"
	"io"
	"slices"
	"sort"
)

// Span is a part of the data that is used as one, by the order of its first byte and of the byte behind it.
type Span struct {
	Start, End int64
	Done       bool // an earlier attempt used it
}

// Begin starts the reading. spans are all parts that will be waited for, and those that an earlier attempt with the same journal has
// dealt with, which need not come again. The answer names spans (by index) that do have to be dealt with again, because what was
// read of them was not yet hashed: these are not Done any more. The journal is a file to be made or continued.
func (s *Stream) Begin(ctx context.Context, spans []Span, journalPath string) (again []int, err error) {
	for _, f := range s.files {
		for _, x := range spans {
			if x.Start >= f.base && x.End <= f.base+f.Size {
				f.bounds = append(f.bounds, x.End-f.base)
			}
		}
		slices.Sort(f.bounds)
		f.bounds = slices.Compact(f.bounds)
	}
	if s.journal, err = openJournal(journalPath, s.Identity()); err != nil {
		return nil, err
	}
	for i, f := range s.files {
		s.resume(i, f, spans)
		for j, x := range spans {
			if x.Done && x.Start >= f.base && x.End <= f.base+f.Size && x.End-f.base > f.from && !f.whole {
				again = append(again, j)
			}
		}
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.done)
		err := s.feed(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err = err; err == nil {
			s.err = io.ErrUnexpectedEOF // nobody waits for more, unless for what is in no file
		}
		s.news()
	}()
	return again, nil
}

// resume finds out from where on file i has to come: from the last state of its hash before which all is done.
func (s *Stream) resume(i int, f *file, spans []Span) {
	need := f.Size // offset of the first span that is not done
	for _, x := range spans {
		if !x.Done && x.Start >= f.base && x.End <= f.base+f.Size {
			need = min(need, x.Start-f.base)
		}
	}
	states := s.journal.states[i]
	if need == f.Size && states[f.Size] != nil {
		f.whole, f.from, f.arrived = true, f.Size, f.Size
		return
	}
	for at, state := range states {
		if _, isBound := slices.BinarySearch(f.bounds, at); isBound && at <= need && at < f.Size && at > f.from {
			f.from, f.state = at, state
		}
	}
	f.arrived = f.from
}

// feed reads all files that are not whole, one after the other.
func (s *Stream) feed(ctx context.Context) error {
	for i, f := range s.files {
		if f.whole {
			continue
		}
		if err := s.feedFile(ctx, i, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func (s *Stream) feedFile(ctx context.Context, i int, f *file) error {
	h, err := f.hash()
	if err != nil {
		return err
	}
	r, err := s.open(ctx, f.Name, f.from)
	if err != nil {
		return err
	}
	defer r.Close() // only read
	at, kept := f.from, f.from
	for at < f.Size {
		end := min(at+chunk, f.Size)
		keep := f.bound(kept + s.every) // the next offset at which the state of the hash is written down
		if keep > at {
			end = min(end, keep)
		}
		if err := s.room(ctx, f, end); err != nil {
			return err
		}
		if err := f.region.Use(int(at), int(end)); err != nil {
			return err
		}
		b := f.region.Bytes()[at:end]
		n, err := r.Read(b)
		if n == 0 && err != nil {
			if err == io.EOF {
				err = fmt.Errorf("want %d bytes, found %d: %w", f.Size, at, io.ErrUnexpectedEOF)
			}
			return err
		}
		if f.headerChanged(b[:n], at) {
			return fmt.Errorf("its header has changed since it was first read: %w", ErrMismatch)
		}
		h.Write(b[:n])
		at += int64(n)
		s.mu.Lock()
		f.arrived = at
		s.news()
		if f.base+at <= s.passed { // it was for the hash only
			f.discard(at-int64(n), at)
		}
		s.mu.Unlock()
		if at == keep && at < f.Size {
			if err := s.journal.add(i, at, h); err != nil {
				return err
			}
			kept = at
		}
	}
	if got := h.Sum(nil); !bytes.Equal(got, f.Sum) {
		return fmt.Errorf("want the hash %x, found %x: %w", f.Sum, got, ErrMismatch)
	}
	if err := s.journal.add(i, at, h); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.whole = true
	s.news()
	return nil
}

// hash is the file's, as it was at f.from.
func (f *file) hash() (hash.Hash, error) {
	h := f.Hash()
	if f.state == nil {
		return h, nil
	}
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, fmt.Errorf("%T can't be taken up again", h)
	}
	return h, u.UnmarshalBinary(f.state)
}

// bound is the first bound from at on; the file's end if there is none.
func (f *file) bound(at int64) int64 {
	if i := sort.Search(len(f.bounds), func(i int) bool { return f.bounds[i] >= at }); i < len(f.bounds) {
		return f.bounds[i]
	}
	return f.Size
}

// room waits until bytes up to end fit into the window.
func (s *Stream) room(ctx context.Context, f *file, end int64) error {
	return s.wait(ctx, func() (bool, error) { return f.base+end <= s.passed+s.window, nil })
}
