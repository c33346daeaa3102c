package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestPackageVersion(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "v1.2.3-rc.1": "1.2.3~rc.1", "v0.0.0-20261128224720-96040e119b65+dirty": "0.0.0~20261128224720.96040e119b65",
	} {
		if got := packageVersion(version); got != want {
			t.Errorf("%s is %s, want %s", version, got, want)
		}
	}
}

// Archives don't tell when, by whom and in which order their files were made.
func TestArchivesAreReproducible(t *testing.T) {
	when := time.Unix(1700000001, 0)
	for name, write := range map[string]func(string, []file, time.Time) error{"tar": writeTar, "zip": writeZip} {
		var first []byte
		for i := range 2 {
			dir := t.TempDir()
			for _, f := range []string{"b", "a"} {
				path := filepath.Join(dir, f)
				if err := os.WriteFile(path, []byte("text of "+f), 0o600+os.FileMode(i)); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, time.Now(), when.Add(time.Duration(i)*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			files, err := folder(dir)
			if err != nil || len(files) != 2 {
				t.Fatal(files, err)
			}
			if i == 1 {
				files[0], files[1] = files[1], files[0]
			}
			out := filepath.Join(t.TempDir(), "out")
			if err := write(out, files, when.In(time.FixedZone("", i*3600))); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 && !bytes.Equal(data, first) {
				t.Errorf("%s: two archives of the same files differ", name)
			}
			first = data
		}
	}
}

func TestComponents(t *testing.T) {
	r := release{time: time.Unix(0, 0).UTC()}
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Path: "example.com/m", Version: "v1.0.0"}, Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v0.1.0", Sum: "h1:x"}, {Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/c", Version: "v2.0.0"}},
	}}
	d := r.describe(info, "m", [32]byte{1})
	var names []string
	for _, p := range d.Packages {
		names = append(names, p.Name+"@"+p.Version)
	}
	if got, want := strings.Join(names, " "), "example.com/m@v1.0.0 std@1.26.8 example.com/a@v0.1.0 example.com/c@v2.0.0"; got != want {
		t.Errorf("components %s, want %s", got, want)
	}
	if len(d.Relationships) != 4 || d.CreationInfo.Created != "1970-01-01T00:00:00Z" {
		t.Errorf("%+v", d)
	}
}

// The templates take the checksums of a whole release, and a part of one makes no manifest.
func TestManifests(t *testing.T) {
	t.Chdir("../..")
	r := release{out: t.TempDir(), version: "v1.2.3"}
	var sums checksums
	for i, p := range []string{"darwin_amd64.tar.gz", "darwin_arm64.tar.gz", "linux_amd64.tar.gz", "linux_arm64.tar.gz", "windows_amd64.zip", "windows_arm64.zip"} {
		sums = append(sums, [2]string{"systemgemma_1.2.3_" + p, strings.Repeat(string(rune('a'+i)), 64)})
	}
	if err := r.manifests(sums[:5]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.out, "systemgemma.json")); err == nil {
		t.Error("a manifest without windows/arm64")
	}
	if err := r.manifests(sums); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"systemgemma.rb": 4, "systemgemma.json": 2} {
		text, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, s := range sums {
			found += strings.Count(string(text), s[1])
		}
		if found != n || !strings.Contains(string(text), "v1.2.3/systemgemma_1.2.3_") || strings.Contains(string(text), "{{") {
			t.Errorf("%s has %d checksums, want %d:\n%s", name, found, n, text)
		}
	}
}
