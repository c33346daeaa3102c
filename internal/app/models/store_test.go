package models

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const commit = "299a8560bedf22ed1c72a8a11e7dce4a7f9f51f8"

// fill makes files of a store; later ones are newer.
func fill(t *testing.T, s Store, files ...string) {
	t.Helper()
	for i, f := range files {
		path := filepath.Join(s.Home, "models", filepath.FromSlash(f))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f), 0o666); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_700_000_000+int64(i), 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFind(t *testing.T) {
	s := Store{Home: filepath.Join(t.TempDir(), "a[b]")} // no pattern
	fill(t, s, "google/gemma-2-2b-it/"+FileName("gemma-2-2b-it", "w8a8", Version(commit, time.Time{})),
		"google/gemma-2-2b-it/gemma-2-2b-it-cpu-w8a8-g128-299a8560.gguf", "google/gemma-2-2b-it/gemma-2-2b-it-cpu-w4-11111111.gguf",
		"me/own/own-cpu-w4-local-20261128.gguf", "you/own/own-cpu-w4-local-20261128.gguf", "me/thing/anything.gguf",
		"me/thing/.hidden.gguf", "me/thing/half.gguf.partial", "me/notes.txt")
	pulled := s.Path("google/gemma-2-2b-it", "gemma-2-2b-it-cpu-w4-11111111.gguf")
	if err := s.SetOrigin(pulled, Origin{Source: "google/gemma-2-2b-it", File: "sub/x.gguf", Revision: "v2", Commit: commit}); err != nil {
		t.Fatal(err)
	}
	const a, b, c = "w8a8-299a8560", "w8a8-g128-299a8560", "w4-11111111"
	for name, want := range map[string][]string{
		"2b": {c, b, a}, "systemgemma2": {c, b, a}, "google/gemma-2-2b-it": {c, b, a}, "gemma-2-2b-it": {c, b, a}, "hf://google/gemma-2-2b-it": {c, b, a},
		"2b:w8a8": {a}, "2b:W4": {c}, "2b:w8a8-299a8560": {a}, "2b:w8a8-g128": {b}, "2b:w9": nil, "9b": nil, "": nil, "google": nil,
		"gemma-2-2b-it-cpu-w4-11111111": {c}, "gemma-2-2b-it-cpu-w4-11111111.gguf": {c},
		"google/gemma-2-2b-it/sub/x.gguf": {c}, "google/gemma-2-2b-it@v2": {c}, "google/gemma-2-2b-it@" + commit: {c}, "google/gemma-2-2b-it@main": nil,
		"me/own": {"w4-local-20261128"}, "thing": {"-"}, "../google/gemma-2-2b-it": nil,
	} {
		found, err := s.Find(name)
		var got []string
		for _, m := range found {
			got = append(got, m.Type+"-"+m.Commit)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") || (want == nil) != errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v (%v), want %v", name, got, err, want)
		}
	}
	if _, err := s.Find("own"); !errors.As(err, new(*AmbiguousError)) || !strings.Contains(err.Error(), "me/own:w4-local-20261128, you/own:") {
		t.Errorf("own: %v", err)
	}
}

// What is remembered is of one file as it is: another size or time is another file, and damaged records count as none.
func TestState(t *testing.T) {
	s := Store{Home: t.TempDir()}
	fill(t, s, "me/own/own-cpu-w4-local-20261128.gguf")
	path := s.Path("me/own", "own-cpu-w4-local-20261128.gguf")
	s.SetUsed(path)
	m, err := s.At(path)
	if err != nil || m.Used.IsZero() {
		t.Fatalf("%+v, %v: want a last use", m, err)
	}
	v, at := Verified{s}, time.Now()
	v.Add(path, m.Bytes, at)
	v.Add("/gone", 3, at)
	for _, x := range []struct {
		size int64
		at   time.Time
		want bool
	}{{m.Bytes, at, true}, {m.Bytes + 1, at, false}, {m.Bytes, at.Add(1), false}} {
		if got := v.Has(path, x.size, x.at); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
	if n, err := v.Prune(); n != 1 || err != nil {
		t.Errorf("forgot %d (%v), want the one that is gone", n, err)
	}
	l := Accept("me/own", Notice("me/own", "mine"), "terminal", at)
	if err := s.SetLicence(l); err != nil {
		t.Fatal(err)
	}
	if got := s.Licence("me/own"); got == nil || *got != l || len(got.SHA256) != 64 {
		t.Errorf("licence %+v, want %+v", got, l)
	}
	if err := os.WriteFile(s.state("licences", "me--own.json"), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if s.Licence("me/own") != nil {
		t.Error("a damaged record counts as an acceptance")
	}
	if err := s.Remove(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	if !s.used(path).IsZero() || exists(filepath.Dir(path)) {
		t.Error("the removed model is remembered, or its folder is left")
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// A model that a process works on is left alone by a prune; its lock tells who holds it.
func TestPruneLeavesWorkAlone(t *testing.T) {
	s, ctx := Store{Home: t.TempDir()}, context.Background()
	fill(t, s, "me/a/a.gguf.partial", "me/a/a.gguf.partial.journal", "me/b/b.gguf.partial", "me/b/keep.txt")
	unlock, err := s.Lock(ctx, "me/b", nil)
	if err != nil {
		t.Fatal(err)
	}
	left, err := s.Leftovers()
	if err != nil || len(left) != 3 {
		t.Fatalf("%v, %v", left, err)
	}
	removed, busy, err := s.Prune(ctx, left)
	if err != nil || len(removed) != 2 || len(busy) != 1 || busy[0] != "me/b" || exists(filepath.Join(s.Home, "models/me/a")) {
		t.Errorf("removed %v, busy %v, %v", removed, busy, err)
	}
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	holder := ""
	if _, err := s.Lock(soon, "me/b", func(h string) { holder = h }); err == nil || holder == "" {
		t.Errorf("a held lock: %v, holder %q", err, holder)
	}
	unlock()
	if removed, _, err = s.Prune(ctx, left); err != nil || len(removed) != 1 || !exists(filepath.Join(s.Home, "models/me/b/keep.txt")) {
		t.Errorf("removed %v, %v", removed, err)
	}
	for _, bad := range []string{"", "a", "../b", "a/b/c", "a/..", "/a"} {
		if _, err := s.Lock(ctx, bad, nil); err == nil {
			t.Errorf("lock of %q: want an error", bad)
		}
	}
}

func TestLocate(t *testing.T) {
	for _, x := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"SYSTEMGEMMA_HOME": "/x", "HOME": "/h"}, "/x"}, {map[string]string{"HOME": "/h"}, "/h/.local/share/systemgemma"},
		{map[string]string{"HOME": "/h", "XDG_DATA_HOME": "/d"}, "/d/systemgemma"}, {map[string]string{"HOME": "/h", "XDG_DATA_HOME": "d"}, "/h/.local/share/systemgemma"},
		{nil, ""},
	} {
		s, err := Locate(func(k string) string { return x.env[k] })
		if s.Home != filepath.FromSlash(x.want) || (err == nil) != (x.want != "") {
			t.Errorf("%v: %q, %v", x.env, s.Home, err)
		}
	}
}

// A new file of a model never has the name of one that is there, and its name tells type and version.
func TestNewPath(t *testing.T) {
	s := Store{Home: t.TempDir()}
	version := "local-20240131"
	for _, want := range []string{"m-cpu-w4-local-20240131.gguf", "m-cpu-w4-local-20240131-2.gguf", "m-cpu-w4-local-20240131-3.gguf"} {
		at := s.NewPath("o/m", "w4", version)
		if filepath.Base(at) != want {
			t.Fatalf("%s, want %s", at, want)
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := s.At(at)
		if err != nil || m.Type != "w4" || !strings.HasPrefix(m.Commit, "local-20240131") {
			t.Fatalf("%+v, %v", m, err)
		}
		version = m.Commit // of a copy of that file
	}
	for typ, version := range map[string]string{"w8a8": "local-20240131", "w4": "0123abcd"} {
		if got, want := filepath.Base(s.NewPath("o/m", typ, version)), "m-cpu-"+typ+"-"+version+".gguf"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Uploads that nobody made a model of are left over after a day, and no sooner.
func TestPruneOldUploads(t *testing.T) {
	s, ctx := Store{Home: t.TempDir()}, context.Background()
	old := time.Now().Add(-25 * time.Hour)
	for name, at := range map[string]time.Time{
		"make-1/a.safetensors": old, "make-2/a.safetensors": time.Now(), "blobs/sha256-1": old, "blobs/sha256-2": time.Now(), "other/x": old,
	} {
		path := filepath.Join(s.Uploads(), filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "make-") {
			if err := os.Chtimes(filepath.Dir(path), at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	left, err := s.Leftovers()
	if err != nil || len(left) != 2 {
		t.Fatalf("%+v, %v", left, err)
	}
	if removed, busy, err := s.Prune(ctx, left); err != nil || len(removed) != 2 || len(busy) > 0 {
		t.Errorf("removed %v, busy %v, %v", removed, busy, err)
	}
	for name, want := range map[string]bool{"make-1": false, "make-2/a.safetensors": true, "blobs/sha256-1": false, "blobs/sha256-2": true, "other/x": true} {
		if exists(filepath.Join(s.Uploads(), filepath.FromSlash(name))) != want {
			t.Errorf("%s: want it there %t", name, want)
		}
	}
}

// The models of the service's folder are found and run by all, after one's own, and changed by nobody here.
func TestOtherStores(t *testing.T) {
	system := Store{Home: t.TempDir()}
	s := Store{Home: t.TempDir(), Others: []string{system.Home}}
	fill(t, system, "me/both/both-cpu-w4-11111111.gguf", "me/theirs/theirs-cpu-w4-11111111.gguf")
	theirs := system.Path("me/theirs", "theirs-cpu-w4-11111111.gguf")
	if err := system.SetOrigin(theirs, Origin{Source: "google/gemma-2-2b-it"}); err != nil {
		t.Fatal(err)
	}
	fill(t, s, "me/both/both-cpu-w4-22222222.gguf", "me/own/own-cpu-w4-11111111.gguf")
	all, err := s.List()
	if err != nil || len(all) != 4 {
		t.Fatalf("%v, %v", all, err)
	}
	found, err := s.Find("theirs")
	if err != nil || len(found) != 1 || !found[0].ReadOnly || found[0].Path != theirs || found[0].Origin == nil {
		t.Fatalf("%+v, %v: want the service's, with its origin", found, err)
	}
	s.SetUsed(theirs)
	if m, err := s.At(theirs); err != nil || m.Used.IsZero() || exists(filepath.Join(system.Home, "state", "used")) {
		t.Errorf("last use of the service's model: %+v, %v; want it noted in one's own store", m, err)
	}
	if err := s.Remove(context.Background(), &found[0]); err == nil || !strings.Contains(err.Error(), "belongs to the system") || !exists(theirs) {
		t.Errorf("removed the service's model: %v", err)
	}
}
