//go:build unix

package systemgemma_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/mini"
)

// A model file truncated while answers run is an error of those answers; the program goes on.
func TestTruncatedFileIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mini.gguf")
	if err := os.WriteFile(path, mini.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	m := open(t, path, &systemgemma.Options{Threads: 3})
	n := 0
	var err error
	for _, err = range m.Chat(context.Background(), user("Tell me a story."), nil) {
		if n++; n == 3 {
			if err := os.Truncate(path, 8192); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !errors.Is(err, systemgemma.ErrFault) {
		t.Errorf("answer from a truncated file: %v, want ErrFault", err)
	}
	if r := collect(t, open(t, "", nil), user("What is the capital of France?"), nil); r.Text != "The capital of France is Paris." {
		t.Errorf("another model afterwards: %q", r.Text)
	}
}
