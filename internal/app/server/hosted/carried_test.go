package hosted

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// What a model carries counts where a request says nothing, and nowhere else.
func TestCarried(t *testing.T) {
	store := copies(t, "own/pirate", "own/plain")
	all, err := store.Find("own/pirate")
	if err != nil {
		t.Fatal(err)
	}
	file, err := modelfile.Parse("FROM mini\nPARAMETER temperature 0.25\nPARAMETER num_predict 7\nPARAMETER num_ctx 512\nPARAMETER stop END\n")
	if err != nil {
		t.Fatal(err)
	}
	settings := models.Settings{System: "Talk like a pirate.", Parameters: file.Parameters,
		Messages: []modelfile.Message{{Role: "user", Content: "Hello"}, {Role: "assistant", Content: "Arr!"}}}
	if err := store.PutSettings(context.Background(), all[0].Path, settings); err != nil {
		t.Fatal(err)
	}
	s := newSet(t, Options{Store: store})
	l := acquire(t, s, "own/pirate")
	defer l.Release()
	d := l.Defaults()
	if d.Sampling.Temperature != 0.25 || d.MaxTokens != 7 || len(d.Stop) != 1 || d.Stop[0] != "END" || l.Model.ContextLength() != 512 {
		t.Errorf("found %+v, %+v and a context of %d", d, d.Sampling, l.Model.ContextLength())
	}
	user := systemgemma.Message{Role: "user", Content: "Who are you?"}
	own := systemgemma.Message{Role: "system", Content: "Be brief."}
	hello, arr := systemgemma.Message{Role: "user", Content: "Hello"}, systemgemma.Message{Role: "assistant", Content: "Arr!"}
	for _, c := range []struct{ list, want []systemgemma.Message }{
		{[]systemgemma.Message{user}, []systemgemma.Message{{Role: "system", Content: "Talk like a pirate."}, hello, arr, user}},
		{[]systemgemma.Message{own, user}, []systemgemma.Message{own, hello, arr, user}},
		{[]systemgemma.Message{{Role: "system"}, user}, []systemgemma.Message{hello, arr, user}}, // none is wanted
	} {
		if diff := cmp.Diff(c.want, l.Begin(c.list)); diff != "" {
			t.Error(diff)
		}
	}
	plain := acquire(t, s, "own/plain")
	defer plain.Release()
	if diff := cmp.Diff([]systemgemma.Message{user}, plain.Begin([]systemgemma.Message{user})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(plain.Model.DefaultSampling(), *plain.Defaults().Sampling); diff != "" {
		t.Error(diff)
	}
}

// A model whose adapter can't be opened is not served without it.
func TestCarriedAdapterIsMissing(t *testing.T) {
	store := copies(t, "own/broken")
	all, err := store.Find("own/broken")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(all[0].Path, ".gguf")+".settings.json", []byte(`{"adapters": ["none.gguf"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSet(t, Options{Store: store})
	if l, err := s.Acquire(context.Background(), "own/broken", nil); err == nil {
		l.Release()
		t.Error("a model was opened without its adapter")
	}
}

// Adapters that were loaded are there again when an idle model was closed and opened anew, at the strengths that were set.
func TestAdaptersOutliveAnIdleModel(t *testing.T) {
	const dir = "../../../checkpoint/peft/testdata/lora/"
	s := newSet(t, Options{Models: []string{"base"}, Resolve: func(string) (Found, error) { return Found{Name: "base", Path: dir + "base"}, nil }})
	now := time.Duration(0)
	l, err := s.Acquire(context.Background(), "base", &now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.LoadAdapter(dir+"plain-r4-qv", 0.5); err != nil {
		t.Fatal(err)
	}
	before := l.Model
	l.Release()
	until(t, "the model is closed", func() bool { return len(s.Running()) == 0 })
	l = acquire(t, s, "base")
	defer l.Release()
	uses, err := l.Use(nil)
	if err != nil || l.Model == before || len(uses) != 1 || uses[0].Scale != 0.5 {
		t.Errorf("found %+v, %v, want the adapter at 0.5 in a model opened anew", uses, err)
	}
}

// Adapters that were loaded are those of one file: a model that is changed, or removed and made again under the same name, has its own.
func TestAdaptersOfAModelMadeAnew(t *testing.T) {
	const dir = "../../../checkpoint/peft/testdata/lora/"
	base, err := filepath.Abs(dir + "base")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.gguf")
	convert := func() {
		if _, err := systemgemma.Convert(t.Context(), base, &systemgemma.ConvertOptions{Output: path, Types: []string{"f32"}, NoReport: true, Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	convert()
	s := newSet(t, Options{Models: []string{"x"}, Resolve: func(string) (Found, error) { return Found{Name: "x", Path: path}, nil }})
	load := func() {
		l := acquire(t, s, "x")
		if _, err := l.LoadAdapter(dir+"plain-r4-qv", 0.5); err != nil {
			t.Fatal(err)
		}
		l.Release()
	}
	has := func() int {
		l := acquire(t, s, "x")
		defer l.Release()
		return len(l.Adapters())
	}
	at := time.Unix(1_700_000_000, 0)
	setTime := func() {
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	setTime()
	load()
	closed := func() {
		if err := s.Unload("x"); err != nil {
			t.Fatal(err)
		}
		until(t, "the model is closed", func() bool { return len(s.Running()) == 0 })
	}
	closed()
	if n := has(); n != 1 {
		t.Fatalf("opened again: %d adapters, want 1", n)
	}
	// Changed by another program.
	closed()
	at = at.Add(time.Second)
	setTime()
	if n := has(); n != 0 {
		t.Errorf("a changed file: %d adapters, want none", n)
	}
	// Removed while it is in use, and made again so that nothing tells the files apart: who asks then gets the new one.
	load()
	old := acquire(t, s, "x")
	s.Removed(path)
	convert()
	setTime()
	got := anew(t, s, old)
	if n := len(got.Adapters()); n != 0 || got.Model == old.Model {
		t.Errorf("a removed model: %d adapters, the same model: %t", n, got.Model == old.Model)
	}
	got.Release()
}

// anew acquires x while another lease of it, of before it was removed, is given back.
func anew(t *testing.T, s *Set, old *Lease) *Lease {
	t.Helper()
	type result struct {
		l   *Lease
		err error
	}
	c := make(chan result, 1)
	go func() {
		l, err := s.Acquire(context.Background(), "x", nil)
		c <- result{l, err}
	}()
	select {
	case r := <-c:
		t.Fatalf("a removed model was given: %v", r.err)
	case <-time.After(20 * time.Millisecond): // it waits, as it should; a slow machine proves less, not something wrong
	}
	old.Release()
	r := <-c
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.l
}
