package hfcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// Lock holds .locks/FOLDER/ETAG.lock, the reference client's lock of one blob, until the returned function is called. A lock file
// that nobody holds is no obstacle. waiting is called once if another process holds it.
func (r Repo) Lock(ctx context.Context, etag string, waiting func()) (unlock func(), err error) {
	if !names.IsEtag(etag) {
		return nil, fmt.Errorf("cache: lock of %q: want a plain name", etag)
	}
	if err := r.c.Make(); err != nil {
		return nil, err
	}
	return r.c.lock(ctx, path.Join(".locks", r.Folder, etag+".lock"), waiting)
}

func (c *Cache) lock(ctx context.Context, rel string, waiting func()) (func(), error) {
	if err := c.root.MkdirAll(path.Dir(rel), 0o777); err != nil {
		return nil, err
	}
	// Through the root first: the name can't lead outside.
	f, err := c.root.OpenFile(rel, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return LockFile(ctx, filepath.Join(c.Dir, filepath.FromSlash(rel)), waiting)
}

// pollLock is how often a held lock is looked at again.
const pollLock = 20 * time.Millisecond

// LockFile locks the file at name, making it if need be, for this process alone. Where the file system has no locks, a second
// file with a heartbeat stands for one.
func LockFile(ctx context.Context, name string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		switch err := tryLock(f); {
		case err == nil:
			return func() { _ = f.Close() }, nil // closing unlocks; the empty file stays, as the reference client leaves it
		case errors.Is(err, errNoLocks):
			_ = f.Close() // empty
			return heartbeatLock(ctx, name+".held", waiting)
		case !errors.Is(err, errHeld):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", name, err), f.Close())
		}
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), f.Close())
		case <-time.After(pollLock):
		}
	}
}

var (
	errHeld    = errors.New("held by another process")
	errNoLocks = errors.New("the file system has no locks")
)

// A heartbeat lock is a file made with O_EXCL whose time its holder renews; one not renewed for stale is left behind.
const (
	beat  = 2 * time.Second
	stale = 15 * time.Second
)

func heartbeatLock(ctx context.Context, name string, waiting func()) (func(), error) {
	for first := true; ; first = false {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			_, _ = fmt.Fprintf(f, "%d\n", os.Getpid()) // for a person to read
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for {
					select {
					case <-stop:
						return
					case now := <-time.After(beat):
						_ = os.Chtimes(name, now, now) // a missed beat is made good by the next
					}
				}
			}()
			return func() {
				close(stop)
				<-done
				_, _ = f.Close(), os.Remove(name) // a file left behind is stale soon
			}, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if info, err := fresh(name); err == nil && time.Since(info.ModTime()) > stale {
			// Of several that find it stale, one renames it and the others' rename fails; or it moves the lock that the first
			// made meanwhile, which goes back. Two holders for that moment would write the same partial file: its hash is checked.
			old := name + temporary("stale")
			if os.Rename(name, old) == nil {
				if info, err := os.Stat(old); err == nil && time.Since(info.ModTime()) <= stale {
					_ = os.Rename(old, name)
				} else {
					_ = os.Remove(old)
				}
			}
			continue
		}
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pollLock):
		}
	}
}

// fresh is os.Stat that asks the server of a network file system: it answers from what it knows unless the file is opened.
func fresh(name string) (fs.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, f.Close())
}
