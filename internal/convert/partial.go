package convert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
)

// ErrBusy says that another conversion writes to the same output.
var ErrBusy = errors.New("another conversion writes this file now")

// A file in the making is NAME.partial, and what is done of it stands in NAME.partial.journal: a line with the identity of the
// conversion, then one for each piece that was written: "tensor row CRC-32C". Nothing is trusted: pieces are read and compared
// before they count, so neither file needs to reach the disk in any order.
const (
	partialSuffix = ".partial"
	journalSuffix = ".partial.journal"
	journalMagic  = "systemgemma conversion 1 "
	maxJournal    = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// partial is a file in the making, locked.
type partial struct {
	path    string // the file's, when it is made
	f       *os.File
	journal *os.File
	release func()             // ends the lock; nil: closing f does
	done    map[pieceID]uint32 // CRC-32C by piece
	notice  string             // why work that was found does not count; "": it does, or there was none
}

// pieceID names a piece: all pieces of a tensor have as many rows, but the last.
type pieceID struct {
	tensor string
	first  int
}

// identity tells conversions apart whose bytes could differ.
type identity [sha256.Size]byte

func newIdentity(parts ...[]byte) identity {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d ", len(p)) // a hash never returns an error
		h.Write(p)
	}
	return identity(h.Sum(nil))
}

// openPartial begins or continues the file that will be at path, of size bytes.
func openPartial(path string, size int64, id identity) (*partial, error) {
	p := &partial{path: path, done: map[pieceID]uint32{}}
	if info, err := os.Lstat(path + partialSuffix); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: want a regular file or none; remove it", path+partialSuffix)
	}
	var err error
	if p.f, p.release, err = lockedFile(path + partialSuffix); err != nil {
		return nil, err
	}
	if err := p.begin(size, id); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// lockedFile opens or makes a file that nobody else has locked, and that is still there under its name.
func lockedFile(path string) (f *os.File, release func(), err error) {
	if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return nil, nil, err
	}
	if release, err = lockFile(f, path); err == nil {
		err = stillNamed(f, path) // it may have been finished between opening and locking
	}
	if err == nil {
		return f, release, nil
	}
	if release != nil {
		release()
	}
	return nil, nil, errors.Join(fmt.Errorf("%s: %w; wait for it, or choose another name", path, err), f.Close())
}

// stillNamed returns ErrBusy if another file has the name of f now.
func stillNamed(f *os.File, path string) error {
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if named, err := os.Stat(path); err != nil || !os.SameFile(mine, named) {
		return ErrBusy
	}
	return nil
}

// begin reads the journal, or starts it anew where it tells of another conversion.
func (p *partial) begin(size int64, id identity) error {
	info, err := p.f.Stat()
	if err != nil {
		return err
	}
	header := fmt.Sprintf("%s%x\n", journalMagic, id)
	old, err := os.ReadFile(p.path + journalSuffix)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	keep := len(header)
	switch {
	case info.Size() == size && len(old) < maxJournal && bytes.HasPrefix(old, []byte(header)):
		keep = p.read(old, len(header))
	case info.Size() > 0 && len(old) > 0:
		p.notice = fmt.Sprintf("%s was begun with other options or of another source: starting over", p.path+partialSuffix)
		fallthrough
	default:
		old = []byte(header)
		if err := errors.Join(p.f.Truncate(0), p.f.Truncate(size)); err != nil {
			return err
		}
	}
	if p.journal, err = os.OpenFile(p.path+journalSuffix, os.O_RDWR|os.O_CREATE, 0o666); err != nil {
		return err
	}
	if err := p.journal.Truncate(int64(keep)); err != nil {
		return err
	}
	if _, err := p.journal.WriteAt(old[:len(header)], 0); err != nil {
		return err
	}
	_, err = p.journal.Seek(int64(keep), 0)
	return err
}

// read takes the journal's whole lines from offset at on and returns where they end: the last one may be cut.
func (p *partial) read(journal []byte, at int) (end int) {
	for {
		line, _, whole := bytes.Cut(journal[at:], []byte("\n"))
		var id pieceID
		var sum uint32
		if _, err := fmt.Sscanf(string(line), "%s %d %08x", &id.tensor, &id.first, &sum); !whole || err != nil {
			return at
		}
		p.done[id] = sum
		at += len(line) + 1
	}
}

// Need is the room that an output still takes on its disk, and what is free there, in bytes; ok is false where the system does not say.
func (o *Output) Need() (need, free int64, ok bool) {
	need = o.Format.Size()
	if info, err := os.Stat(o.Path + partialSuffix); err == nil {
		need -= min(takenBytes(info), need)
	}
	free, ok = freeBytes(filepath.Dir(o.Path))
	return need, free, ok
}

// check drops the pieces that do not hold what the journal says.
func (p *partial) check(ctx context.Context, f Format, list []*piece, crew *parallel.Crew) error {
	var found []*piece
	for _, x := range list {
		if _, ok := p.done[x.id()]; ok {
			found = append(found, x)
		}
	}
	good := make([]bool, len(found))
	buffers := make([][]byte, crew.Workers())
	var failed firstError
	err := crew.Run(len(found), 1, func(worker, lo, hi int) {
		for i := lo; i < hi && !failed.any(); i++ {
			if err := context.Cause(ctx); err != nil {
				failed.set(i, err)
				return
			}
			sum := uint32(0)
			for _, e := range f.Places(found[i].in.Parameter, found[i].first, found[i].rows) {
				if int64(len(buffers[worker])) < e.Length {
					buffers[worker] = make([]byte, e.Length)
				}
				b := buffers[worker][:e.Length]
				if _, err := p.f.ReadAt(b, e.Offset); err != nil {
					failed.set(i, err)
					return
				}
				sum = crc32.Update(sum, castagnoli, b)
			}
			good[i] = sum == p.done[found[i].id()]
		}
	})
	if err = failed.join(err); err != nil {
		return err
	}
	done := p.done
	p.done = map[pieceID]uint32{}
	for i, x := range found {
		if good[i] {
			p.done[x.id()] = done[x.id()]
		}
	}
	return nil
}

// write stores a piece and remembers it.
func (p *partial) write(x *piece, places []checkpoint.Extent, data [][]byte) error {
	if len(places) != len(data) {
		return fmt.Errorf("tensor %s: want bytes for %d places, found %d", x.in.Name, len(places), len(data))
	}
	sum := uint32(0)
	for i, b := range data {
		if int64(len(b)) != places[i].Length {
			return fmt.Errorf("tensor %s: want %d bytes at row %d, found %d", x.in.Name, places[i].Length, x.first, len(b))
		}
		if _, err := p.f.WriteAt(b, places[i].Offset); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, b)
	}
	_, err := fmt.Fprintf(p.journal, "%s %d %08x\n", x.in.Name, x.first, sum)
	return err
}

// finish gives the file, which is on the disk, its name. Another file of that name is replaced only if overwrite says so.
func (p *partial) finish(overwrite bool) error {
	if _, err := os.Lstat(p.path); err == nil && !overwrite {
		return errors.Join(fmt.Errorf("%s: %w", p.path, ErrExists), p.close())
	}
	if runtime.GOOS == "windows" { // which renames no open file
		if err := p.close(); err != nil {
			return err
		}
	}
	err := os.Rename(p.path+partialSuffix, p.path)
	if err == nil {
		err = errors.Join(os.Remove(p.path+journalSuffix), checkpoint.SyncFolder(filepath.Dir(p.path)))
	}
	return errors.Join(err, p.close())
}

// remove deletes both files.
func (p *partial) remove() error {
	err := p.close()
	return errors.Join(err, os.Remove(p.path+partialSuffix), os.Remove(p.path+journalSuffix))
}

// close keeps both files for the next attempt.
func (p *partial) close() error {
	var errs []error
	for _, f := range []**os.File{&p.journal, &p.f} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	if p.release != nil {
		p.release()
		p.release = nil
	}
	return errors.Join(errs...)
}
