package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// Every page is sound roff to mandoc, shows every flag of --help, and is the same each time.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	build := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{{Key: "vcs.time", Value: "2026-01-31T10:00:00Z"}}}
	p := newProcess("")
	p.Build = build
	if status := p.run(t, "man", dir); status != 0 {
		t.Fatalf("status %d: %s", status, p.err.String())
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("pages %q, %v", pages, err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), `"2026-01-31" "systemgemma v1.2.3"`) {
			t.Errorf("%s: want date and version, found %.120q", page, text)
		}
		_, synopsis, _ := strings.Cut(string(text), "\n.SH SYNOPSIS\n.B systemgemma ")
		command, _, _ := strings.Cut(strings.ReplaceAll(synopsis, `\-`, "-"), "\n")
		if filepath.Base(page) == "systemgemma.1" {
			continue
		}
		h := newProcess("")
		if status := h.run(t, append(strings.Fields(command), "--help")...); status != 0 {
			t.Errorf("%s --help: status %d", command, status)
		}
		for _, w := range strings.Fields(h.out.String()) {
			name, _, _ := strings.Cut(w, "=")
			if strings.HasPrefix(w, "--") && strings.Contains(w, "=") && !strings.Contains(string(text), strings.ReplaceAll(name, "-", `\-`)) {
				t.Errorf("%s lacks %s", page, name)
			}
		}
	}
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("not run here: mandoc (not installed)")
	}
	if out, err := exec.Command(mandoc, append([]string{"-Tlint", "-Wwarning"}, pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

func TestManualRefusesAFile(t *testing.T) {
	p := newProcess("")
	if status := p.run(t, "man", "manual_test.go"); status != 1 || !strings.Contains(p.err.String(), "want an existing folder") {
		t.Errorf("status %d, stderr %q", status, p.err.String())
	}
	p = newProcess("")
	if status := p.run(t, "man"); status != 0 || !strings.HasPrefix(p.out.String(), `.TH "SYSTEMGEMMA"`) {
		t.Errorf("status %d, stdout %.60q", status, p.out.String())
	}
}
