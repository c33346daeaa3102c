package download

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// part is an unfinished file: its bytes and which of them are here. Fetched in order, the file's size says that; fetched in
// ranges, the journal does, a line "FROM TO" for each finished piece, written after its bytes.
type part struct {
	file *os.File
	path string // of the final file
	size int64  // -1 if unknown

	mu      sync.Mutex
	grown   *sync.Cond // have grew, or closed is set
	have    []span     // in order, apart from each other
	journal *os.File   // nil while fetched in order
	life    int        // counts how often all bytes were dropped
	closed  bool
}

type span struct{ from, to int64 }

// maxJournal bounds what is read of a journal.
const maxJournal = 8 << 20

// openPart opens or makes the partial file and reads what is here. What can't be trusted is dropped: the hash decides in the end.
func openPart(t Target) (*part, error) {
	if t.Prefix != "" {
		if _, err := os.Lstat(t.Path + Partial); errors.Is(err, fs.ErrNotExist) {
			if err := os.Rename(t.Prefix, t.Path+Partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	f, err := os.OpenFile(t.Path+Partial, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	p := &part{file: f, path: t.Path, size: t.Size}
	p.grown = sync.NewCond(&p.mu)
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	length := info.Size()
	j, err := os.OpenFile(t.Path+Journal, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.add(span{0, length})
	case err != nil:
		return nil, errors.Join(err, f.Close())
	default:
		p.journal = j
		text, err := io.ReadAll(io.LimitReader(j, maxJournal))
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		spans, ok := parseJournal(text, t.Size)
		for _, s := range spans {
			if s.to <= length { // bytes that a loss of power took are not here, whatever the journal says
				p.add(s)
			}
		}
		if !ok {
			return p.emptied()
		}
		if n := bytes.LastIndexByte(text, '\n') + 1; n < len(text) { // a line cut by a kill
			if err := j.Truncate(int64(n)); err != nil {
				return nil, errors.Join(err, p.close())
			}
		}
		if _, err := j.Seek(0, io.SeekEnd); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	if t.Size < 0 || length > t.Size || t.Sum.Kind == "" {
		return p.emptied() // of another file, of a size that nobody knows, or without a hash that would find a wrong beginning
	}
	return p, nil
}

func (p *part) emptied() (*part, error) {
	if err := p.reset(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

const journalHead = "systemgemma journal 1 "

// parseJournal reads a journal of a file of that size; ok is false if it is none of it. A last line without its end is left out.
func parseJournal(text []byte, size int64) (spans []span, ok bool) {
	head, rest, found := strings.Cut(string(text), "\n")
	if !found || head != journalHead+strconv.FormatInt(size, 10) {
		return nil, false
	}
	for {
		line, after, whole := strings.Cut(rest, "\n")
		if !whole {
			return spans, true
		}
		rest = after
		a, b, _ := strings.Cut(line, " ")
		from, err1 := strconv.ParseInt(a, 10, 64)
		to, err2 := strconv.ParseInt(b, 10, 64)
		if err1 != nil || err2 != nil || from < 0 || from >= to || to > size {
			return nil, false
		}
		spans = append(spans, span{from, to})
	}
}

// inRanges begins the journal, before the first byte out of order.
func (p *part) inRanges() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.journal != nil {
		return nil
	}
	j, err := os.OpenFile(p.path+Journal, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	p.journal = j
	var b strings.Builder
	fmt.Fprintf(&b, "%s%d\n", journalHead, p.size)
	for _, s := range p.have {
		fmt.Fprintf(&b, "%d %d\n", s.from, s.to)
	}
	_, err = j.WriteString(b.String())
	return err
}

// note writes a finished piece into the journal.
func (p *part) note(s span) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.journal == nil || s.from >= s.to {
		return nil
	}
	_, err := fmt.Fprintf(p.journal, "%d %d\n", s.from, s.to)
	return err
}

// write puts bytes at an offset.
func (p *part) write(b []byte, at int64) error {
	if _, err := p.file.WriteAt(b, at); err != nil {
		return fmt.Errorf("%s: %w", p.path+Partial, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(span{at, at + int64(len(b))})
	return nil
}

// add merges a piece into have. p.mu must be held, or p not yet shared.
func (p *part) add(s span) {
	if s.from >= s.to {
		return
	}
	i, _ := slices.BinarySearchFunc(p.have, s.from, func(h span, from int64) int {
		if h.to < from {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(p.have) && p.have[j].from <= s.to; j++ {
		s.from, s.to = min(s.from, p.have[j].from), max(s.to, p.have[j].to)
	}
	p.have = slices.Replace(p.have, i, j, s)
	p.grown.Broadcast()
}

// held is how many bytes are here.
func (p *part) held() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n int64
	for _, s := range p.have {
		n += s.to - s.from
	}
	return n
}

// front is how far the bytes are here from the beginning without a gap. p.mu must be held.
func (p *part) front() int64 {
	if len(p.have) == 0 || p.have[0].from != 0 {
		return 0
	}
	return p.have[0].to
}

// await waits until bytes after at are here, the life is over or the part is closed.
func (p *part) await(at int64, life int) (front int64, now int, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.front() <= at && p.life == life && !p.closed {
		p.grown.Wait()
	}
	return p.front(), p.life, p.closed
}

// lives tells whether no bytes were dropped since a life began.
func (p *part) lives(life int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life == life
}

// missing returns what is not here, in pieces of at most n bytes.
func (p *part) missing(n int64) []span {
	p.mu.Lock()
	defer p.mu.Unlock()
	var gaps []span
	at := int64(0)
	for _, s := range append(slices.Clone(p.have), span{p.size, p.size}) {
		for ; at < s.from; at = min(at+n, s.from) {
			gaps = append(gaps, span{at, min(at+n, s.from)})
		}
		at = s.to
	}
	return gaps
}

// reset drops all bytes.
func (p *part) reset() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.have = nil
	p.life++
	p.grown.Broadcast()
	var err error
	if p.journal != nil {
		err = errors.Join(p.journal.Close(), os.Remove(p.path+Journal))
		p.journal = nil
	}
	return errors.Join(err, p.file.Truncate(0))
}

// close ends the wait of follow, and closes the files.
func (p *part) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.grown.Broadcast()
	var err error
	if p.journal != nil {
		err = p.journal.Close()
		p.journal = nil
	}
	return errors.Join(err, p.file.Close())
}

// stop ends the wait of follow.
func (p *part) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.grown.Broadcast()
}
