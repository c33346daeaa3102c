package hfcache

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// TreeFile is a file of a commit's listing.
type TreeFile struct {
	Path      string `json:"-"`
	Size      int64  `json:"size"`
	BlobID    string `json:"blob_id"` // git blob sha1, of the pointer for LFS files
	LFSSHA256 string `json:"lfs_sha256,omitempty"`
	LFSSize   int64  `json:"lfs_size,omitempty"`
	XetHash   string `json:"xet_hash,omitempty"`
}

// Etag is the name that the file's blob will have.
func (f TreeFile) Etag() string {
	if f.LFSSHA256 != "" {
		return f.LFSSHA256
	}
	return f.BlobID
}

// Tree returns the stored listing of a commit, sorted by path, and whether there is one.
func (r Repo) Tree(commit string) ([]TreeFile, bool) {
	if !names.IsCommit(commit) {
		return nil, false
	}
	b, err := r.c.read(r.in("trees", commit+".json"))
	if err != nil {
		return nil, false
	}
	files, err := ParseTree(b)
	return files, err == nil
}

// ParseTree reads the text of a stored listing.
func ParseTree(b []byte) ([]TreeFile, error) {
	var t struct {
		Version int                 `json:"format_version"`
		Files   map[string]TreeFile `json:"files"`
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, err
	}
	if t.Version != 1 || t.Files == nil {
		return nil, fmt.Errorf("stored listing: want format_version 1 and files, found version %d", t.Version)
	}
	files := make([]TreeFile, 0, len(t.Files))
	for path, f := range t.Files {
		f.Path = path
		files = append(files, f)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	return files, nil
}

// SetTree stores the listing of a commit.
func (r Repo) SetTree(commit string, files []TreeFile) error {
	if !names.IsCommit(commit) {
		return fmt.Errorf("cache: listing of %q: want a commit", commit)
	}
	return r.c.writeText(r.in("trees", commit+".json"), TreeText(files))
}

// TreeText is the text of a stored listing, byte for byte as the reference client writes it: sorted by path, the last of equal
// paths, one space of indent, ASCII.
func TreeText(files []TreeFile) string {
	last := map[string]TreeFile{}
	for _, f := range files {
		last[f.Path] = f
	}
	paths := make([]string, 0, len(last))
	for p := range last {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	var b strings.Builder
	b.WriteString("{\n \"format_version\": 1,\n \"files\": {")
	for i, p := range paths {
		f := last[p]
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n  %s: {\n   \"size\": %d,\n   \"blob_id\": %s", ascii(p), f.Size, ascii(f.BlobID))
		if f.LFSSHA256 != "" {
			fmt.Fprintf(&b, ",\n   \"lfs_sha256\": %s,\n   \"lfs_size\": %d", ascii(f.LFSSHA256), f.LFSSize)
		}
		if f.XetHash != "" {
			fmt.Fprintf(&b, ",\n   \"xet_hash\": %s", ascii(f.XetHash))
		}
		b.WriteString("\n  }")
	}
	if len(paths) > 0 {
		b.WriteString("\n ")
	}
	b.WriteString("}\n}")
	return b.String()
}

// ascii quotes a string as JSON of ASCII only.
func ascii(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r >= 0x10000:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r < ' ' || r > '~':
			b.WriteString(`\u` + strings.Repeat("0", 4-len(strconv.FormatInt(int64(r), 16))) + strconv.FormatInt(int64(r), 16))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
