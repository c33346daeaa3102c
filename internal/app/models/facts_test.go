package models

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// What a list tells of a file is what its description says; it is read once, and again when the file or what is remembered is another.
func TestFacts(t *testing.T) {
	sample.Skip(t) // it converts
	s := Store{Home: t.TempDir()}
	path := s.Path("me/own", FileName("own", "w4", "11111111"))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := systemgemma.Convert(t.Context(), systemgemma.Mini, &systemgemma.ConvertOptions{Output: path, Types: []string{"w4"}}); err != nil {
		t.Fatal(err)
	}
	want, err := systemgemma.Describe(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	look := func() Model {
		t.Helper()
		all, err := s.List()
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		s.Look(all)
		return all[0]
	}
	right := func(when string) {
		t.Helper()
		if m := look(); m.SystemMode != want.SystemMode || m.Quality == nil || *m.Quality != want.Quality.All || m.Problem != "" {
			t.Errorf("%s: %+v, want %s and %+v", when, m.Facts, want.SystemMode, want.Quality.All)
		}
	}
	right("first")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	put := func(content []byte, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	other := bytes.Repeat([]byte("x"), len(whole))
	put(whole, at)
	right("touched")
	put(other, at)
	right("remembered") // for all that size and time say
	if err := os.WriteFile(s.factsPath(path), []byte(`{"reader": 1, "path`), 0o666); err != nil {
		t.Fatal(err)
	}
	if m := look(); m.Problem == "" || m.SystemMode != "" {
		t.Errorf("a damaged record counts: %+v", m.Facts)
	}
	put(whole, at)
	right("the record was damaged")
	put(other, at)
	right("made anew")
	put(other, at.Add(time.Second))
	if m := look(); m.Problem == "" {
		t.Errorf("a record of another time counts: %+v", m.Facts)
	}
	put(whole, at.Add(time.Second))
	if err := s.PutSettings(context.Background(), path, Settings{SystemMode: "exchange"}); err != nil {
		t.Fatal(err)
	}
	if m := look(); m.SystemMode != "exchange" || m.Quality == nil {
		t.Errorf("%+v: want the mode that the model carries", m.Facts)
	}
	m := look()
	if err := s.Remove(context.Background(), &m); err != nil {
		t.Fatal(err)
	}
	if exists(s.factsPath(path)) {
		t.Error("the removed model is remembered")
	}
}

// Where nothing can be remembered, all is told none the less; what is no model says why.
func TestFactsWithoutAState(t *testing.T) {
	s := Store{Home: t.TempDir()}
	fill(t, s, "me/bad/bad-cpu-w4-11111111.gguf")
	if err := os.WriteFile(filepath.Join(s.Home, "state"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	mini := s.Path("me/good", "good-cpu-w4-11111111.gguf")
	if err := os.MkdirAll(filepath.Dir(mini), 0o777); err != nil {
		t.Fatal(err)
	}
	o := systemgemma.ConvertOptions{Output: mini, NoReport: true}
	if _, err := systemgemma.Convert(t.Context(), systemgemma.Mini, &o); err != nil {
		t.Fatal(err)
	}
	all, err := s.List()
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	s.Look(all)
	if all[0].Problem == "" || all[1].SystemMode == "" || all[1].Quality != nil || all[1].Problem != "" {
		t.Errorf("%+v\n%+v", all[0].Facts, all[1].Facts)
	}
}

// A folder that somebody works in stays, and one that a crash left goes, also one of before there were locks.
func TestWorkFolders(t *testing.T) {
	s, ctx := Store{Home: t.TempDir()}, context.Background()
	if n, err := s.ClearWork(ctx); n != 0 || err != nil {
		t.Errorf("no store: %d, %v", n, err)
	}
	dir, done, err := s.WorkFolder(ctx)
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(s.Uploads(), "make-123456")
	blob := filepath.Join(s.Uploads(), "blobs", "sha256-1")
	for _, f := range []string{filepath.Join(left, "config.json"), filepath.Join(dir, "config.json"), blob} {
		if err := os.MkdirAll(filepath.Dir(f), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.ClearWork(ctx); n != 1 || err != nil || exists(left) || !exists(filepath.Join(dir, "config.json")) || !exists(blob) {
		t.Errorf("cleared %d (%v); left %v, in work %v, blob %v", n, err, exists(left), exists(dir), exists(blob))
	}
	done()
	if locks, err := os.ReadDir(s.LockDir()); err != nil || len(locks) != 0 || exists(dir) {
		t.Errorf("after work: locks %v, folder %v (%v)", locks, exists(dir), err)
	}
}
