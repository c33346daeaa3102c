package systemgemma

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/mini"
)

// inside writes a file that holds another from the second place on where a section may begin.
func inside(t *testing.T, model []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "program")
	all := append(bytes.Repeat([]byte{0x7f}, 2*SectionAlign), model...)
	if err := os.WriteFile(path, append(all, "and what follows"...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A model inside another file answers, describes itself and is verified as the file alone; damage is found.
func TestSection(t *testing.T) {
	model := mini.File()
	path := inside(t, model)
	name := SectionName(path, 2*SectionAlign, int64(len(model)))
	m, err := Open(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for e, err := range m.Chat(context.Background(), []Message{{Role: "user", Content: "What is the capital of France?"}}, nil) {
		if err != nil {
			t.Fatal(err)
		}
		text += e.Text
	}
	if !strings.Contains(text, "Paris") {
		t.Errorf("answer %q", text)
	}
	if got := m.Info().Name; got != path {
		t.Errorf("name %q, want %q", got, path)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if i, err := Describe(name, nil); err != nil || i.Format != "systemgemma" || i.Name != path {
		t.Errorf("Describe: %+v, %v", i, err)
	}
	if err := Verify(context.Background(), name, nil); err != nil {
		t.Error(err)
	}
	damaged := bytes.Clone(model)
	damaged[len(damaged)-1000] ^= 1
	path = inside(t, damaged)
	if err := Verify(context.Background(), SectionName(path, 2*SectionAlign, int64(len(model))), nil); err == nil {
		t.Error("a damaged section was found whole")
	}
}

func TestSectionRefused(t *testing.T) {
	model := mini.File()
	n := int64(len(model))
	path := inside(t, model)
	for name, want := range map[string]string{
		"section:":                                    "want section:OFFSET+SIZE:PATH",
		"section:0+:x":                                "want section:OFFSET+SIZE:PATH",
		"section:-x+5:" + path:                        "want section:OFFSET+SIZE:PATH",
		"section:0+5:":                                "want section:OFFSET+SIZE:PATH",
		SectionName(path, 1, n):                       "multiple of 65536",
		SectionName(path, 2*SectionAlign, n+17):       "found a file of",
		SectionName(path, 2*SectionAlign, n-1):        "bytes of tensor data",
		SectionName(path, SectionAlign, n):            "model of",
		SectionName(path+"x", 2*SectionAlign, n):      "no such file",
		SectionName(t.TempDir(), 0, n):                "want a regular file",
		SectionName(path, 2*SectionAlign, 1<<62):      "found a file of",
		"section:9223372036854775808+1:" + path:       "want section:OFFSET+SIZE:PATH",
		SectionName(inside(t, []byte("GGUF")), 0, 17): "model of 17 bytes",
	} {
		if _, err := Open(name, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// Only files of the product's own format are run from a section.
func TestSectionOfAForeignFile(t *testing.T) {
	out := filepath.Join(t.TempDir(), "mini-F16.gguf")
	if _, err := Convert(context.Background(), Mini, &ConvertOptions{Output: out, To: "gguf", Types: []string{"f16"}, NoReport: true}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(SectionName(inside(t, data), 2*SectionAlign, int64(len(data))), nil); err == nil || !strings.Contains(err.Error(), "own format") {
		t.Errorf("err = %v", err)
	}
}
