package hub_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

// node is a file, link or empty folder on disk.
type node struct {
	Path, Type, SHA256, Target string
	Size                       *int64
	Text                       *string
	Content                    string
	From, To                   *int
}

// layOut makes what a case finds on disk.
func (s *scripted) layOut(t *testing.T, nodes []node) {
	t.Helper()
	for _, n := range nodes {
		p := filepath.Join(s.root, filepath.FromSlash(n.Path))
		err := os.MkdirAll(filepath.Dir(p), 0o777)
		switch {
		case err != nil:
		case n.Type == "dir":
			err = os.MkdirAll(p, 0o777)
		case n.Target != "":
			err = os.Symlink(filepath.FromSlash(n.Target), p)
		case n.Content != "":
			b := s.contents[n.Content].bytes()
			from, to := 0, len(b)
			if n.From != nil {
				from = *n.From
			}
			if n.To != nil {
				to = *n.To
			}
			err = os.WriteFile(p, b[from:to], 0o666)
		default:
			err = os.WriteFile(p, []byte(s.fill(*n.Text)), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Folders that may be there empty or not, and files that every client may leave.
var incidental = regexp.MustCompile(`(^|/)(\.locks(/.*)?|CACHEDIR\.TAG|blobs|refs|snapshots|snapshots/[0-9a-f]{40}|\.no_exist|trees|hf|hub|home|download|models--[^/]*)$`)

// tree lists what is on disk, one line each: files with their hash, links with their target, empty folders.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		switch {
		case rel == ".":
		case d.IsDir():
			if entries, err := os.ReadDir(p); err == nil && len(entries) == 0 {
				found[rel] = "dir"
			}
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			found[rel] = "-> " + filepath.ToSlash(target)
		default:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			found[rel] = fmt.Sprintf("%d %x", len(b), sha256.Sum256(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// recorded turns a case's tree into the same lines; "*" stands for a file whose bytes hold a time or a path.
func recorded(nodes []node) map[string]string {
	found := map[string]string{}
	for _, n := range nodes {
		switch n.Type {
		case "dir":
			found[n.Path] = "dir"
		case "symlink":
			found[n.Path] = "-> " + n.Target
		default:
			found[n.Path] = "*"
			if n.Size != nil {
				found[n.Path] = fmt.Sprintf("%d %s", *n.Size, n.SHA256)
			}
		}
	}
	return found
}

// compareTrees compares what counts of two trees. A ref without a snapshot counts as nothing there.
func compareTrees(want, got map[string]string, refs map[string]string) []string {
	var diff []string
	dangling := map[string]bool{}
	for p, commit := range refs {
		repo, _, _ := strings.Cut(p, "/refs/")
		has := false
		for q, what := range want {
			has = has || strings.HasPrefix(q, repo+"/snapshots/"+commit+"/") && what != "dir"
		}
		dangling[p] = !has
	}
	all := map[string]bool{}
	for p := range want {
		all[p] = true
	}
	for p := range got {
		all[p] = true
	}
	for p := range all {
		w, g := want[p], got[p]
		shown := func(s string) string {
			if s == "" || s == "dir" && incidental.MatchString(p) {
				return "nothing"
			}
			return s
		}
		if strings.Contains(p, "/.locks/") || strings.HasSuffix(p, "CACHEDIR.TAG") || strings.HasSuffix(p, "/.locks") || dangling[p] || w == "*" && g != "" {
			continue
		}
		if shown(w) != shown(g) {
			diff = append(diff, fmt.Sprintf("%s: want %s, got %s", p, shown(w), shown(g)))
		}
	}
	sort.Strings(diff)
	return diff
}

// refsOf returns the refs of a recorded tree.
func refsOf(nodes []node) map[string]string {
	refs := map[string]string{}
	for _, n := range nodes {
		if strings.Contains(n.Path, "/refs/") && n.Text != nil {
			refs[n.Path] = *n.Text
		}
	}
	return refs
}

// sound checks what must hold of a cache whatever happened: blobs named by a hash have it, refs have snapshots, and nothing lies
// outside but what did before.
func sound(t *testing.T, root string, before map[string]string) {
	t.Helper()
	for p, what := range tree(t, root) {
		base := filepath.Base(p)
		switch {
		case strings.Contains(p, "/blobs/") && strings.Contains(p, "--") && !strings.HasPrefix(what, "->"):
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
			if err != nil {
				t.Fatal(err)
			}
			git := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(b), b))
			sum := sha256.Sum256(b)
			if len(base) == 40 && base != hex.EncodeToString(git[:]) || len(base) == 64 && base != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: its bytes have another hash than its name", p)
			}
		case strings.Contains(p, "/refs/"):
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p)))
			if err != nil {
				t.Fatal(err)
			}
			repo, _, _ := strings.Cut(p, "/refs/")
			if _, err := os.Stat(filepath.Join(root, repo, "snapshots", string(b))); err != nil && before[p] == "" {
				t.Errorf("%s: names %q, of which there is no snapshot", p, b)
			}
		case strings.HasPrefix(p, "hf/hub/"), strings.HasPrefix(p, "home"), strings.HasPrefix(p, "out/"), strings.HasPrefix(p, "mine/"), p == "hf":
		case before[p] != what:
			t.Errorf("%s: %s, was %q before: it lies outside the cache", p, what, before[p])
		}
	}
}
