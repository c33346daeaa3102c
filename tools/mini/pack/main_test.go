package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/mini"
)

// The embedded file is what the checkpoint beside this program gives, byte for byte.
func TestEmbeddedFileIsCurrent(t *testing.T) {
	out := filepath.Join(t.TempDir(), "mini.gguf")
	if err := run([]string{"../model", out}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, mini.File()) {
		t.Errorf("packing ../model gives %d bytes that differ from the %d embedded ones: run go generate ./internal/mini", len(got), len(mini.File()))
	}
	if len(got) > 6_000_000 {
		t.Errorf("%d bytes: want at most 6,000,000", len(got))
	}
}

func TestWrongUse(t *testing.T) {
	if err := run([]string{"one"}); err == nil {
		t.Error("want an error")
	}
}
