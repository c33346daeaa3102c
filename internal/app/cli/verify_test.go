package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/mini"
)

// A file of the product's own holds its checksums, until one byte anywhere changes.
func TestVerifyAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mini.gguf")
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data := mini.File()
	write(data)
	p := newProcess("")
	if status := p.run(t, "verify", path); status != 0 || p.out.String() != path+": all checksums hold ("+size(int64(len(data)))+")\n" {
		t.Errorf("status %d, stdout %q, stderr %q", status, p.out.String(), p.err.String())
	}
	p = newProcess("")
	if status := p.run(t, "run", path, "What is the capital of France?"); status != 0 || !strings.Contains(p.out.String(), "Paris") {
		t.Errorf("run: status %d, stdout %q, stderr %q", status, p.out.String(), p.err.String())
	}
	for _, at := range []int{100, len(data) / 2, len(data) - 1} {
		broken := slices.Clone(data)
		broken[at] ^= 1
		write(broken)
		p := newProcess("")
		if status := p.run(t, "verify", path); status != 1 || p.out.String() != "" || !strings.HasPrefix(p.err.String(), "systemgemma: verify: ") {
			t.Errorf("byte %d: status %d, stdout %q, stderr %q; want 1 and the fault", at, status, p.out.String(), p.err.String())
		}
	}
}
