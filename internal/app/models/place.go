package models

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
)

// ErrExists: a file of that name is there, and is another one.
var ErrExists = errors.New("exists already")

// Place makes the file at to from the one at from: by a link where both lie on one file system, else by a copy. It appears whole or
// not at all, and replaces nothing: if to exists, the error is ErrExists.
func Place(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", to, ErrExists)
	}
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	if err := os.Link(real, to); err == nil || errors.Is(err, fs.ErrExist) {
		if err != nil {
			return fmt.Errorf("%s: %w", to, ErrExists)
		}
		return nil
	}
	return copyFile(ctx, real, to)
}

// Copy makes the file at to a copy of the one at from that shares nothing with it, with the promises of Place.
func Copy(ctx context.Context, from, to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s: %w", to, ErrExists)
	}
	return copyFile(ctx, from, to)
}

func copyFile(ctx context.Context, from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	if info, err := src.Stat(); err != nil {
		return err
	} else if free, err := hfcache.FreeBytes(filepath.Dir(to)); err == nil && free < info.Size() {
		return fmt.Errorf("copy to %s: want %d bytes of room, found %d", filepath.Dir(to), info.Size(), free)
	}
	temp := filepath.Join(filepath.Dir(to), "."+filepath.Base(to)+"."+rand.Text()+".tmp")
	dst, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreMissing(os.Remove(temp))) }()
	_, err = io.Copy(dst, &stoppable{ctx, src})
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	// A link never replaces what came in between; file systems without links get a rename.
	if err := os.Link(temp, to); err == nil {
		return hfcache.SyncFolder(filepath.Dir(to))
	} else if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", to, ErrExists)
	}
	if err := os.Rename(temp, to); err != nil {
		return err
	}
	return hfcache.SyncFolder(filepath.Dir(to))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// stoppable is a reader that ends with a context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
