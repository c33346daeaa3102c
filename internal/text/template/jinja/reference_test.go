package jinja

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// testdata/reference.jsonl was written by the reference interpreter; testdata/reference.py remakes it. Its first line is what all templates are given.
// Set JINJA_REFERENCE to read another file, made with another seed.
func TestEqualsReference(t *testing.T) {
	path := "testdata/reference.jsonl"
	if other := os.Getenv("JINJA_REFERENCE"); other != "" {
		path = other
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	lines.Scan()
	vars := append(json.RawMessage(nil), lines.Bytes()...)
	n := 0
	for ; lines.Scan(); n++ {
		var c construct
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		got, err := renderJSON(t, c.Template, vars)
		var fault *Error
		switch {
		case c.Error == nil && err != nil:
			t.Errorf("template %q: error %v, want text %q", c.Template, err, *c.Text)
		case c.Error == nil && got != *c.Text:
			t.Errorf("template %q:\n got %q\nwant %q", c.Template, got, *c.Text)
		case c.Error != nil && !errors.As(err, &fault):
			t.Errorf("template %q: text %q, want %s error %q", c.Template, got, c.Error.Kind, c.Error.Message)
		case c.Error != nil && (fault.Kind == Syntax || fault.Kind == Raise) != (c.Error.Kind == "syntax" || c.Error.Kind == "raise"):
			t.Errorf("template %q: %s error %q, want %s error %q", c.Template, fault.Kind, fault.Message, c.Error.Kind, c.Error.Message)
		case fault != nil && fault.Kind == Raise && fault.Message != c.Error.Message:
			t.Errorf("template %q: raised %q, want %q", c.Template, fault.Message, c.Error.Message)
		}
	}
	if n < 500 {
		t.Fatalf("found %d cases, want at least 500", n)
	}
}
