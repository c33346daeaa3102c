package checkpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/mini"
)

func TestFileVersion(t *testing.T) {
	own := mini.File()
	newer := bytes.Replace(own, []byte(versionKey+"\x04\x00\x00\x00\x01"), []byte(versionKey+"\x04\x00\x00\x00\x09"), 1)
	if bytes.Equal(own, newer) {
		t.Fatal("no version in the file")
	}
	for name, c := range map[string]struct {
		data []byte
		want int
		ok   bool
	}{
		"own": {own, LayoutVersion, true}, "newer": {newer, 9, true}, "no GGUF": {[]byte("something"), 0, true},
		"cut": {own[:500], 0, false}, "begun": {[]byte("GGUF"), 0, false},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := FileVersion(path); v != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %d, %v", name, v, err)
		}
	}
	if _, err := FileVersion(t.TempDir()); err == nil {
		t.Error("a folder has a version")
	}
}
