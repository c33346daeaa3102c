package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// Stream reads a file of a known size from an offset, as it comes, and takes lost connections up again where they broke, as
// Fetch does. It checks no hash: a reader from the beginning can. It keeps no more than a connection's buffer in memory.
func Stream(ctx context.Context, t Target, offset int64, get Getter, o Options) io.ReadCloser {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{ctx: ctx, cancel: cancel, t: t, get: get, o: o.withDefaults(), at: offset, best: offset}
	s.stop = func() {}
	return s
}

type stream struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	t      Target
	get    Getter
	o      Options

	at, best int64
	tries    int
	fresh    bool
	body     io.Reader // nil: not connected
	stop     func()    // ends the connection
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.at >= s.t.Size {
			return 0, io.EOF
		}
		n, err := s.read(p[:min(int64(len(p)), s.t.Size-s.at)])
		s.at += int64(n)
		if n > 0 {
			if err := s.o.Limit.wait(s.ctx, s.o.Clock, n); err != nil {
				return n, err
			}
			if s.at > s.best {
				s.best, s.tries, s.fresh = s.at, 0, false
			}
			s.o.Report(Progress{Name: s.t.Name, Done: s.at, Total: s.t.Size})
			return n, nil // an error comes again with the next call
		}
		if err == nil {
			continue
		}
		if err := s.again(err); err != nil {
			return 0, err
		}
	}
}

// read reads from the connection, made first if there is none.
func (s *stream) read(p []byte) (int, error) {
	if s.body == nil {
		ctx, cancel := context.WithCancelCause(s.ctx)
		resp, err := s.get.Get(ctx, s.at, -1, s.fresh)
		if err != nil {
			cancel(nil)
			return 0, err
		}
		s.stop = func() { _ = resp.Body.Close(); cancel(nil) } // only read
		whole := resp.StatusCode == http.StatusOK && s.at == 0 && (resp.ContentLength < 0 || resp.ContentLength == s.t.Size)
		if !whole && (resp.StatusCode != http.StatusPartialContent || !rangeIs(resp.Header.Get("Content-Range"), s.at, -1, s.t.Size)) ||
			resp.Header.Get("Content-Encoding") != "" {
			return 0, fmt.Errorf("%s: %w", s.t.Name, errNoRanges)
		}
		s.body = &watchdog{resp.Body, cancel, nil, s.o.Clock.Real(s.o.Stall)}
	}
	n, err := s.body.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if n == 0 && err != nil {
		return 0, &cutError{err}
	}
	return n, nil
}

// again decides whether what failed is tried again, and waits.
func (s *stream) again(err error) error {
	s.stop()
	s.body, s.stop = nil, func() {}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	_, cut := errors.AsType[*cutError](err)
	switch {
	case wire.KindOf(err) == wire.LinkRefused && !s.fresh:
		s.fresh = true
		return nil
	case !cut && !wire.Healing(err):
		return err
	}
	if s.tries++; s.tries > s.o.Retries {
		return fmt.Errorf("%s: after %d tries without new bytes: %w", s.t.Name, s.tries, err)
	}
	s.o.Report(Progress{Name: s.t.Name, Done: s.at, Total: s.t.Size, Retry: err})
	if cut {
		return s.o.Clock.Sleep(s.ctx, time.Second)
	}
	return s.o.Wait(s.ctx, s.tries-1, err)
}

func (s *stream) Close() error {
	s.stop()
	s.cancel(nil)
	return nil
}
