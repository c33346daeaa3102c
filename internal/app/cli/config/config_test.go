package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if entries, exists, err := Read(path); entries != nil || exists || err != nil {
		t.Errorf("no file gives %v, %v, %v", entries, exists, err)
	}
	text := "# comment\nmodel = \"my model\"\nthreads = 4\n\nscore.preset = \"exact\"\n[run]\n\"stats\" = true\ntemperature = 0.7 # warm\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, exists, err := Read(path)
	want := []Entry{
		{"", "model", "my model", path, 2}, {"", "threads", "4", path, 3}, {"score", "preset", "exact", path, 5},
		{"run", "stats", "true", path, 7}, {"run", "temperature", "0.7", path, 8},
	}
	if err != nil || !exists || !cmp.Equal(entries, want) {
		t.Errorf("%v, %v\n%s", exists, err, cmp.Diff(want, entries))
	}
}

func TestWrongFiles(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1\nthreads 4\n":                 "f:2: ",
		"a = 1\na = 2\n":                     "f:2: ",
		"a = 1\n\nstop = [1, 2]\n":           "f:3: stop: want one text, number, true or false, found a list",
		"[run]\nx = 1979-05-27\n":            "f:2: run.x: want one text, number, true or false, found a date",
		"[run.deep]\nx = 1\n":                "run.deep: want one text, number, true or false, found a table",
		"[[run]]\nx = 1\n":                   "run: want one text, number, true or false, found a list of tables",
		"a = \"\xff\"\n":                     "f:1: ",
		"a = " + strings.Repeat("[", 100000): "f:1: ",
	} {
		entries, err := parse("f", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q gives %v, %v; want %q", text, entries, err, want)
		}
	}
	if _, _, err := Read(t.TempDir()); err == nil {
		t.Error("a folder is read")
	}
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, maxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read(big); err == nil || !strings.Contains(err.Error(), "want at most 1048576 bytes") {
		t.Errorf("error is %v", err)
	}
}

func TestPlaces(t *testing.T) {
	env := func(values ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(values); i += 2 {
				if values[i] == name {
					return values[i+1]
				}
			}
			return ""
		}
	}
	for _, x := range []struct{ got, want string }{
		{UserFile("linux", env("HOME", "/home/u")), "/home/u/.config/systemgemma/config.toml"},
		{UserFile("linux", env("HOME", "/home/u", "XDG_CONFIG_HOME", "/x")), "/x/systemgemma/config.toml"},
		{UserFile("linux", env("HOME", "/home/u", "XDG_CONFIG_HOME", "x")), "/home/u/.config/systemgemma/config.toml"},
		{UserFile("linux", env()), ""},
		{UserFile("windows", env("AppData", "/a", "HOME", "/home/u")), "/a/systemgemma/config.toml"},
		{SystemFile("linux", env()), "/etc/systemgemma/config.toml"},
		{SystemFile("windows", env("ProgramData", "/p")), "/p/systemgemma/config.toml"},
		{SystemFile("windows", env()), ""},
	} {
		if filepath.ToSlash(x.got) != x.want {
			t.Errorf("%q, want %q", x.got, x.want)
		}
	}
}

// No file breaks it, and every value has a line of the file.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a = 1\n[run]\nb = \"x\"\n", "a.b.c = 1", "[a]\n[a]\n", "a = [[[", "\"\" = nan", "a = {b = 1, c = {d = 2}}", "[[a]]\nb = 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		entries, _ := parse("f", text)
		for _, e := range entries {
			if e.Line < 1 || e.Line > 1+strings.Count(text, "\n") {
				t.Errorf("%s in a file of %d lines: %q", e.Where(), 1+strings.Count(text, "\n"), text)
			}
		}
	})
}
