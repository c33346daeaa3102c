package download

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// job is one fetch.
type job struct {
	target Target
	get    Getter
	o      Options
	part   *part
	fresh  bool // the next request asks for a new link

	mu     sync.Mutex // guards done and calls of o.Report
	done   int64
	spares sync.Pool
}

// errNoRanges: the server sends the whole file, or something else, where a range was asked for.
var errNoRanges = errors.New("the server does not serve ranges as asked")

const bufferSize = 256 << 10

func (j *job) run(ctx context.Context) error {
	j.spares.New = func() any { b := make([]byte, bufferSize); return &b }
	j.done = j.part.held()
	j.report(0, nil)
	sum := make(chan error, 1)
	follow := j.target.Size >= 0 && j.target.Sum.Kind != ""
	if follow {
		go func() { sum <- j.follow() }()
	}
	err := j.fill(ctx)
	if err != nil {
		j.part.stop()
		if follow {
			<-sum
		}
		return err
	}
	if follow {
		return <-sum
	}
	if j.target.Sum.Kind == "" {
		return nil
	}
	err = j.target.Sum.CheckFile(j.target.Path + Partial)
	if e, ok := errors.AsType[*HashError](err); ok {
		e.Name = j.target.Name
	}
	return err
}

// fill brings all bytes here.
func (j *job) fill(ctx context.Context) error {
	size := j.target.Size
	if size == 0 || size > 0 && j.part.held() == size {
		return nil
	}
	if j.o.Ranges > 1 && size >= j.o.Large || j.part.journal != nil {
		err := j.ranges(ctx)
		if !errors.Is(err, errNoRanges) {
			return err
		}
		if err := j.restart(); err != nil {
			return err
		}
	}
	return j.inOrder(ctx)
}

// ranges fetches the missing pieces, the first first, by up to o.Ranges requests at a time.
func (j *job) ranges(ctx context.Context) error {
	if err := j.part.inRanges(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pieces := make(chan span)
	var workers sync.WaitGroup
	for range j.o.Ranges {
		workers.Go(func() {
			for s := range pieces {
				if err := j.piece(ctx, s); err != nil {
					cancel(err)
				}
			}
		})
	}
	missing := j.part.missing(j.o.Segment)
feed:
	for _, s := range missing {
		select {
		case pieces <- s:
		case <-ctx.Done():
			break feed
		}
	}
	close(pieces)
	workers.Wait()
	return context.Cause(ctx)
}

// piece fetches one range, and notes in the journal what it got, also when it fails.
func (j *job) piece(ctx context.Context, s span) error {
	noted := s.from
	const every = 1 << 20 // a kill loses at most so much of each range
	at, err := j.bytes(ctx, s.from, s.to, func(at int64) error {
		if at-noted < every {
			return nil
		}
		err := j.part.note(span{noted, at})
		noted = at
		return err
	})
	return errors.Join(err, j.part.note(span{noted, at}))
}

// inOrder fetches everything after what is here from the beginning.
func (j *job) inOrder(ctx context.Context) error {
	j.part.mu.Lock()
	from := j.part.front()
	j.part.mu.Unlock()
	restarts := 0
	for {
		_, err := j.bytes(ctx, from, j.target.Size, func(int64) error { return nil })
		if !errors.Is(err, errNoRanges) {
			return err
		}
		if restarts++; restarts > j.o.Retries {
			return fmt.Errorf("%s: %w, %d times", j.target.Name, errNoRanges, restarts)
		}
		if err := j.restart(); err != nil {
			return err
		}
		from = 0
	}
}

func (j *job) restart() error {
	j.mu.Lock()
	j.done = 0
	j.mu.Unlock()
	return j.part.reset()
}

// bytes fetches [from, to), to < 0 if unknown, through cuts, stalls and refusals that pass. It returns how far it came. A body
// that can't be put in its place is errNoRanges, except that a whole file for a request in order is taken from its beginning.
func (j *job) bytes(ctx context.Context, from, to int64, wrote func(at int64) error) (at int64, err error) {
	at = from
	best, tries := from, 0
	for {
		n, err := j.request(ctx, &at, to, wrote)
		if err == nil && (to < 0 || at >= to) {
			return at, nil
		}
		if ctx.Err() != nil {
			return at, context.Cause(ctx)
		}
		if at > best {
			best, tries = at, 0 // new bytes: the count begins anew
		}
		if err == nil {
			err = &cutError{fmt.Errorf("the server sent %d bytes of %d", n, to-at+n)}
		}
		cut, wasCut := errors.AsType[*cutError](err)
		switch {
		case wire.KindOf(err) == wire.LinkRefused && j.renew():
			continue // a link that is too old: once more with a new one
		case !wasCut && !wire.Healing(err):
			return at, err
		}
		if tries++; tries > j.o.Retries {
			if wasCut {
				return at, fmt.Errorf("%s: the connection was lost %d times without new bytes (%w); what is here is kept: run the same command again",
					j.target.Name, tries, cut.cause)
			}
			return at, err
		}
		j.report(0, err)
		if wasCut {
			err = j.o.Clock.Sleep(ctx, time.Second)
		} else {
			err = j.o.Wait(ctx, tries-1, err)
		}
		if err != nil {
			return at, err
		}
	}
}

// renew asks for a fresh link with the next request, once until bytes come.
func (j *job) renew() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fresh {
		return false
	}
	j.fresh = true
	return true
}

// request makes one request for [*at, to) and writes what comes. *at moves with it.
func (j *job) request(ctx context.Context, at *int64, to int64, wrote func(int64) error) (n int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j.mu.Lock()
	fresh := j.fresh
	j.mu.Unlock()
	size := j.target.Size
	end := to
	if to == size {
		end = -1
	}
	resp, err := j.get.Get(ctx, *at, end, fresh)
	if wire.KindOf(err) == wire.OtherStatus || wire.KindOf(err) == wire.BadRequest {
		if e, _ := errors.AsType[*wire.Error](err); e.Status == http.StatusRequestedRangeNotSatisfiable && (*at > 0 || end >= 0) {
			return 0, errNoRanges
		}
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	body := io.Reader(resp.Body)
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		if !rangeIs(resp.Header.Get("Content-Range"), *at, to, size) || resp.Header.Get("Content-Encoding") != "" {
			return 0, errNoRanges
		}
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("%s: want status 200 or 206, the server sent %d", j.target.Name, resp.StatusCode)
	case *at > 0 || to != size:
		if j.part.journal != nil {
			return 0, errNoRanges
		}
		if err := j.restart(); err != nil { // the whole file from its beginning
			return 0, err
		}
		*at = 0
		fallthrough
	default:
		if resp.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(resp.Body)
			if err != nil {
				return 0, &cutError{err}
			}
			body = z
		} else if size >= 0 && resp.ContentLength >= 0 && resp.ContentLength != size {
			return 0, &SizeError{Name: j.target.Name, Want: size, Got: resp.ContentLength}
		}
	}
	limit := to - *at
	if to < 0 {
		limit = maxUnknown - *at
	}
	quiet := &watchdog{body, cancel, nil, j.o.Clock.Real(j.o.Stall)}
	defer quiet.stop()
	clean, err := j.copy(ctx, quiet, at, limit, &n, wrote)
	if err != nil || !clean {
		return n, err
	}
	if resp.StatusCode == http.StatusOK && (to >= 0 && *at < to) {
		return n, &SizeError{Name: j.target.Name, Want: size, Got: *at}
	}
	return n, nil
}

// copy writes a body, at most limit bytes of it, at *at. clean is that it ended by itself.
func (j *job) copy(ctx context.Context, body io.Reader, at *int64, limit int64, n *int64, wrote func(int64) error) (clean bool, err error) {
	buffer := j.spares.Get().(*[]byte)
	defer j.spares.Put(buffer)
	buf := *buffer
	if j.o.Block > 0 {
		buf = make([]byte, j.o.Block)
	}
	for *n < limit {
		b := buf[:min(int64(len(buf)), limit-*n)]
		var k int
		if j.o.Block > 0 {
			k, err = io.ReadFull(body, b)
			if err == io.ErrUnexpectedEOF { // by identity: the body's clean end in the middle of a block; a cut is a readError
				err = io.EOF
			}
			if err != nil && err != io.EOF {
				k = 0 // what is cut of a block is dropped
			}
		} else {
			k, err = body.Read(b)
		}
		if k > 0 {
			if err := j.o.Limit.wait(ctx, j.o.Clock, k); err != nil {
				return false, err
			}
			if err := j.part.write(b[:k], *at); err != nil {
				return false, err
			}
			*at += int64(k)
			*n += int64(k)
			j.report(int64(k), nil)
			if err := wrote(*at); err != nil {
				return false, err
			}
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			if errors.Is(context.Cause(ctx), errStall) {
				err = fmt.Errorf("%w (%v)", errStall, j.o.Stall)
			}
			return false, &cutError{err}
		}
	}
	// All that was asked for is here. One byte more is one too many.
	var one [1]byte
	if k, _ := io.ReadFull(body, one[:]); k > 0 {
		return false, &SizeError{Name: j.target.Name, Want: *at, Got: *at + 1, More: true}
	}
	return true, nil
}

// cutError is a connection that ended before its body.
type cutError struct{ cause error }

func (e *cutError) Error() string { return "the connection was lost: " + e.cause.Error() }
func (e *cutError) Unwrap() error { return e.cause }

// rangeIs tells whether a Content-Range is "bytes FROM-X/SIZE" with X before to.
func rangeIs(header string, from, to, size int64) bool {
	var a, b, total int64
	if n, err := fmt.Sscanf(header, "bytes %d-%d/%d", &a, &b, &total); err != nil || n != 3 {
		return false
	}
	return a == from && b >= a && (to < 0 || b < to) && (size < 0 || total == size)
}

// follow hashes the bytes from the beginning as they come, reading them back from the file: most are still in memory.
func (j *job) follow() error {
	p, size := j.part, j.target.Size
	h := j.target.Sum.New(size)
	buf := make([]byte, 1<<20)
	life := 0
	for at := int64(0); at < size; {
		front, now, closed := p.await(at, life)
		if now != life { // the bytes were dropped and come again
			life, at, h = now, 0, j.target.Sum.New(size)
			continue
		}
		if front <= at && closed {
			return errors.New("stopped")
		}
		n, err := p.file.ReadAt(buf[:min(int64(len(buf)), front-at)], at)
		if !p.lives(life) {
			continue
		}
		if n == 0 && err != nil {
			return fmt.Errorf("%s: %w", p.path+Partial, err)
		}
		h.Write(buf[:n])
		at += int64(n)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != j.target.Sum.Hex {
		return &HashError{j.target.Name, j.target.Sum, got}
	}
	return nil
}

// report tells of n new bytes, or of a new try.
func (j *job) report(n int64, retry error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done += n
	if n > 0 {
		j.fresh = false
	}
	j.o.Report(Progress{Name: j.target.Name, Done: j.done, Total: j.target.Size, Retry: retry})
}

// watchdog cancels a request when no byte comes for a while.
type watchdog struct {
	r      io.Reader
	cancel context.CancelCauseFunc
	timer  *time.Timer
	stall  time.Duration
}

var errStall = errors.New("no byte came in time")

func (w *watchdog) Read(p []byte) (int, error) {
	if w.timer == nil {
		w.timer = time.AfterFunc(w.stall, func() { w.cancel(errStall) })
	} else {
		w.timer.Reset(w.stall)
	}
	n, err := w.r.Read(p)
	w.timer.Stop()
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, &readError{err}
}

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// readError marks an error of the body itself, which io.ReadFull passes on as it is.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }
