package models

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
)

// A work folder is where the files that a model is made of lie under their names meanwhile. Its lock tells whether somebody works in it.
const workPrefix = "make-"

func (s Store) workLock(name string) string { return filepath.Join(s.LockDir(), name+".lock") }

// WorkFolder makes one. done removes it; what a crash leaves, ClearWork removes.
func (s Store) WorkFolder(ctx context.Context) (dir string, done func(), err error) {
	if err := errors.Join(os.MkdirAll(s.LockDir(), 0o777), os.MkdirAll(s.Uploads(), 0o777)); err != nil {
		return "", nil, err
	}
	name := workPrefix + strings.ToLower(rand.Text())
	unlock, err := hfcache.LockFile(ctx, s.workLock(name), nil) // before the folder is there: one without a holder is cleared
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(s.Uploads(), name)
	done = func() {
		_, _ = os.RemoveAll(dir), os.Remove(s.workLock(name)) // links to other files: what is left takes no room, and goes with ClearWork
		unlock()
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		done()
		return "", nil, err
	}
	return dir, done, nil
}

// ClearWork removes the work folders that nobody works in, and returns how many.
func (s Store) ClearWork(ctx context.Context) (n int, err error) {
	entries, err := os.ReadDir(s.Uploads())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), workPrefix) {
			continue
		}
		soon, cancel := context.WithTimeout(ctx, patience)
		unlock, lockErr := hfcache.LockFile(soon, s.workLock(e.Name()), nil)
		cancel()
		if lockErr != nil {
			continue // somebody works in it
		}
		removeErr := os.RemoveAll(filepath.Join(s.Uploads(), e.Name()))
		_ = os.Remove(s.workLock(e.Name()))
		unlock()
		if removeErr == nil {
			n++
		}
		err = errors.Join(err, removeErr)
	}
	return n, err
}
