package hfcache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// The reference client 2.x keeps what it got in chunks (xet) once for all repositories: blobs/{2 hex}/{xet hash}, with the links
// to it listed in {xet hash}.refs, and a marker that tells this folder from a repository called blobs.
const marker = "blobs/.huggingface-shared-blobs"

var xetHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

func joined(errs []error) error { return errors.Join(errs...) }

func (c *Cache) sharedStore() bool {
	b, err := c.read(marker)
	return err == nil && string(b) == "1\n"
}

// Shared returns the path of a payload of the shared store, if it is there with that size. Its bytes are not checked.
func (c *Cache) Shared(hash string, size int64) (string, bool) {
	if c.root == nil || !xetHash.MatchString(hash) || !c.sharedStore() {
		return "", false
	}
	rel := path.Join("blobs", hash[:2], hash)
	info, err := c.root.Lstat(rel)
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return "", false
	}
	return filepath.Join(c.Dir, filepath.FromSlash(rel)), true
}

// LinkShared makes a payload of the shared store this repository's blob, and notes that beside the payload.
func (r Repo) LinkShared(ctx context.Context, etag, hash string) error {
	payload := path.Join("blobs", hash[:2], hash)
	unlock, err := r.c.lock(ctx, payload+".lock", nil)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := r.c.read(payload + ".refs")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	line := r.in("blobs", etag) + "\n"
	if !strings.Contains("\n"+string(old), "\n"+line) {
		if err := r.c.writeText(payload+".refs", string(old)+line); err != nil {
			return err
		}
	}
	if err := r.MakeBlobs(); err != nil {
		return err
	}
	return r.c.root.Symlink(filepath.FromSlash("../../"+payload), r.in("blobs", etag))
}

// payloadOf returns the payload in the shared store that a blob links to; "" if it is no such link.
func (c *Cache) payloadOf(blob string) string {
	target, err := os.Readlink(blob)
	if err != nil {
		return ""
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(blob), target)
	}
	rel, err := filepath.Rel(c.Dir, target)
	rel = filepath.ToSlash(rel)
	if err != nil || path.Dir(path.Dir(rel)) != "blobs" || !xetHash.MatchString(path.Base(rel)) {
		return ""
	}
	return rel
}

// sharedElsewhere tells whether a blob's payload stays because other repositories link to it.
func (c *Cache) sharedElsewhere(blob string) bool {
	payload := c.payloadOf(blob)
	if payload == "" {
		return false
	}
	refs, err := c.read(payload + ".refs")
	return err != nil || len(without(string(refs), c.relative(blob))) > 0
}

func (c *Cache) relative(name string) string {
	rel, err := filepath.Rel(c.Dir, name)
	if err != nil {
		return ""
	}
	return filepath.ToSlash(rel)
}

// without returns the lines of a .refs file but those of a blob, or of all blobs below a folder.
func without(refs, blob string) string {
	var kept strings.Builder
	for line := range strings.Lines(refs) {
		name := strings.TrimSpace(line)
		if name != "" && name != blob && !strings.HasPrefix(name, blob+"/") {
			kept.WriteString(name + "\n")
		}
	}
	return kept.String()
}

// unshare takes what is removed off the lists of the shared store, and a payload with its last line.
func (c *Cache) unshare(name string) error {
	blobs := []string{name}
	if entries, err := os.ReadDir(filepath.Join(name, "blobs")); err == nil {
		for _, e := range entries {
			blobs = append(blobs, filepath.Join(name, "blobs", e.Name()))
		}
	}
	var errs []error
	for _, blob := range blobs {
		if payload := c.payloadOf(blob); payload != "" {
			if err := c.release(payload, c.relative(blob)); err != nil {
				errs = append(errs, fmt.Errorf("shared store: %w", err))
			}
		}
	}
	return joined(errs)
}

func (c *Cache) release(payload, blob string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	unlock, err := c.lock(ctx, payload+".lock", nil)
	if err != nil {
		return err
	}
	defer unlock()
	refs, err := c.read(payload + ".refs")
	if err != nil {
		return err // without its list nobody knows who else uses the payload: it stays
	}
	if left := without(string(refs), blob); left != "" {
		return c.writeText(payload+".refs", left)
	}
	return errors.Join(c.root.Remove(payload), c.root.Remove(payload+".refs"))
}
