package scripted

import (
	"encoding/json"
	"iter"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// Case is what recorded cases of all clients have: what was on disk before and after, what the servers said and were asked.
type Case struct {
	Name         string
	DiskBefore   []Node  `json:"disk_before"`
	ServerScript []*Rule `json:"server_script"`
	Requests     []Request
	CacheTree    []Node `json:"cache_tree"`
}

// Start starts the servers of a case, in a folder with what it finds on disk. They close with the test.
func (c *Case) Start(t testing.TB, contents map[string]Content) *Servers {
	t.Helper()
	s := Start(t, t.TempDir(), contents, c.ServerScript)
	s.LayOut(t, c.DiskBefore)
	return s
}

// Cases are those of parts of a set of golden data, and the contents that they name. C has a Case in it.
func Cases[C any](t testing.TB, set string, parts ...string) (contents map[string]Content, cases iter.Seq[C]) {
	t.Helper()
	dir := golden.Dir(t, set)
	if err := json.Unmarshal(golden.Read(t, filepath.Join(dir, "contents.json")), &contents); err != nil {
		t.Fatal(err)
	}
	return contents, func(yield func(C) bool) {
		t.Helper()
		for _, part := range parts {
			for c := range golden.Lines[C](t, filepath.Join(dir, part+".jsonl.gz")) {
				if !yield(c) {
					return
				}
			}
		}
	}
}
