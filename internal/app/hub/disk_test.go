package hub_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/scripted"
)

// Folders that may be there empty or not, and files that every client may leave.
var incidental = regexp.MustCompile(`(^|/)(\.locks(/.*)?|CACHEDIR\.TAG|blobs|refs|snapshots|snapshots/[0-9a-f]{40}|\.no_exist|trees|hf|hub|home|download|models--[^/]*)$`)

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
func refsOf(nodes []scripted.Node) map[string]string {
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
	for p, what := range scripted.Tree(t, root) {
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
