package models

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Leftover is a file that interrupted work left in the store.
type Leftover struct {
	Model string `json:"model"` // "" of an upload
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// Uploads is the folder of files that clients of a server brought, until models are made of them.
func (s Store) Uploads() string { return filepath.Join(s.Home, "uploads") }

// forgotten is how old an upload is that no model is made of any more.
const forgotten = 24 * time.Hour

// oldUploads are uploads that were left, and folders in which a server that is gone laid some out.
func (s Store) oldUploads() (left []Leftover) {
	for _, pattern := range []string{"make-*", filepath.Join("blobs", "*")} {
		files, _ := filepath.Glob(filepath.Join(escapeGlob(s.Uploads()), pattern)) // the pattern is right
		for _, path := range files {
			if info, err := os.Lstat(path); err == nil && (info.IsDir() || info.Mode().IsRegular()) && time.Since(info.ModTime()) > forgotten {
				left = append(left, Leftover{"", path, info.Size()})
			}
		}
	}
	return left
}

// Leftovers lists what interrupted work left: files that are no models, and uploads of days ago.
func (s Store) Leftovers() ([]Leftover, error) {
	left := []Leftover{}
	files, err := filepath.Glob(filepath.Join(escapeGlob(s.Home), "models", "*", "*", "*"))
	for _, path := range files {
		info, err := os.Lstat(path)
		base := filepath.Base(path)
		ours := strings.HasSuffix(base, ".partial") || strings.HasSuffix(base, ".journal") || strings.HasSuffix(base, ".partial.held") || strings.HasSuffix(base, "-partial") ||
			strings.HasPrefix(base, ".") && (strings.HasSuffix(base, ".tmp") || strings.HasSuffix(base, ".gguf"))
		for _, suffix := range []string{".settings.json", ".adapters"} { // of a model that did not come to be
			if stem, ok := strings.CutSuffix(base, suffix); ok {
				_, statErr := os.Lstat(filepath.Join(filepath.Dir(path), stem+".gguf"))
				ours = errors.Is(statErr, fs.ErrNotExist)
			}
		}
		folder := ours && strings.HasSuffix(base, ".adapters") && err == nil && info.IsDir()
		if err != nil || !info.Mode().IsRegular() && !folder || !ours {
			continue // what a person put there stays
		}
		dir := filepath.Dir(path)
		left = append(left, Leftover{filepath.Base(filepath.Dir(dir)) + "/" + filepath.Base(dir), path, info.Size()})
	}
	return append(left, s.oldUploads()...), err
}

// patience is how long Prune waits for a model's lock before it leaves the model alone.
const patience = 100 * time.Millisecond

// Prune removes leftovers, but those of a model that a process works on, and what is remembered of files that are gone.
func (s Store) Prune(ctx context.Context, left []Leftover) (removed []Leftover, busy []string, err error) {
	removed = []Leftover{}
	locked := map[string]bool{} // by model; false: busy
	for _, l := range left {
		if l.Model == "" {
			if removeErr := os.RemoveAll(l.Path); removeErr == nil {
				removed = append(removed, l)
			} else {
				err = errors.Join(err, removeErr)
			}
			continue
		}
		free, seen := locked[l.Model]
		if !seen {
			soon, cancel := context.WithTimeout(ctx, patience)
			unlock, lockErr := s.Lock(soon, l.Model, nil)
			cancel()
			if free = lockErr == nil; free {
				defer unlock()
			} else if busy = append(busy, l.Model); ctx.Err() != nil {
				return removed, busy, ctx.Err()
			}
			locked[l.Model] = free
		}
		if !free {
			continue
		}
		remove := os.Remove
		if strings.HasSuffix(l.Path, ".adapters") {
			remove = os.RemoveAll
		}
		if removeErr := remove(l.Path); removeErr == nil {
			removed = append(removed, l)
			_, _ = os.Remove(filepath.Dir(l.Path)), os.Remove(filepath.Dir(filepath.Dir(l.Path))) // only if they are empty
		} else if !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	_, checkedErr := s.forgetGone("verified")
	_, factsErr := s.forgetGone("facts")
	return removed, busy, errors.Join(err, checkedErr, factsErr)
}
