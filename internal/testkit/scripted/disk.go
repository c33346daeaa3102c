package scripted

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Node is a file, link or empty folder on disk.
type Node struct {
	Path, Type, SHA256, Target string
	Size                       *int64
	Text                       *string
	Content                    string
	From, To                   *int
}

// LayOut makes what a case finds on disk.
func (s *Servers) LayOut(t testing.TB, nodes []Node) {
	t.Helper()
	for _, n := range nodes {
		p := filepath.Join(s.Root, filepath.FromSlash(s.Fill(n.Path)))
		err := os.MkdirAll(filepath.Dir(p), 0o777)
		switch {
		case err != nil:
		case n.Type == "dir":
			err = os.MkdirAll(p, 0o777)
		case n.Target != "":
			err = os.Symlink(filepath.FromSlash(n.Target), p)
		case n.Content != "":
			b := s.Contents[n.Content].Bytes()
			from, to := 0, len(b)
			if n.From != nil {
				from = *n.From
			}
			if n.To != nil {
				to = *n.To
			}
			err = os.WriteFile(p, b[from:to], 0o666)
		default:
			err = os.WriteFile(p, []byte(s.Fill(*n.Text)), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Tree lists what is on disk, one line each: files with their hash, links with their target, empty folders.
func Tree(t testing.TB, root string) map[string]string {
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

// Recorded turns a case's tree into the same lines; "*" stands for a file whose bytes hold a time or a path.
func Recorded(nodes []Node) map[string]string {
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
