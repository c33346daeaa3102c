package models

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// What a model carries is read as it was written, with its own copies of the adapters, and goes with the model.
func TestSettings(t *testing.T) {
	s, dir := Store{Home: t.TempDir()}, t.TempDir()
	folder := filepath.Join(dir, "peft")
	for _, f := range []string{"a.gguf", "peft/adapter_config.json", "peft/adapter_model.safetensors", "peft/notes.txt"} {
		at := filepath.Join(dir, filepath.FromSlash(f))
		if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(f), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	path := s.Path("local/m", "m-cpu-w8a8-local-20261129.gguf")
	temperature := 0.5
	x := Settings{
		System: "Be <brief>.", SystemMode: "merge", Parameters: modelfile.Parameters{Temperature: &temperature, Stop: []string{"x"}},
		Adapters: []string{filepath.Join(dir, "a.gguf"), folder}, Messages: []modelfile.Message{{Role: "user", Content: "Hi"}}, Licenses: []string{"free"},
	}
	if err := s.PutSettings(context.Background(), path, x); err != nil {
		t.Fatal(err)
	}
	left, err := s.Leftovers()
	if err != nil || len(left) != 2 {
		t.Errorf("%d leftovers of a model that did not come to be, %v; want settings and adapters", len(left), err)
	}
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if left, err = s.Leftovers(); err != nil || len(left) != 0 {
		t.Errorf("%v are leftovers beside a model, %v", left, err)
	}
	all, err := s.List()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d models, %v: adapters are none", len(all), err)
	}
	got, err := s.Settings(&all[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range got.Adapters {
		if !strings.HasPrefix(a, strings.TrimSuffix(path, ".gguf")+".adapters") {
			t.Errorf("adapter %s is not the model's own", a)
		}
	}
	if b, err := os.ReadFile(filepath.Join(got.Adapters[1], "adapter_config.json")); err != nil || string(b) != "peft/adapter_config.json" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(got.Adapters[1], "notes.txt")); err == nil {
		t.Error("what is no adapter was copied")
	}
	x.Adapters = got.Adapters
	if diff := cmp.Diff(&x, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := s.Remove(context.Background(), &all[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("something is left of a removed model")
	}
}

func TestDamagedSettings(t *testing.T) {
	s := Store{Home: t.TempDir()}
	path := s.Path("local/m", "m.gguf")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{", `{"adapters": ["../../../x"]}`, `{"adapters": ["/etc/x"]}`} {
		if err := os.WriteFile(settingsPath(path), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if x, err := ReadSettings(path); err == nil {
			t.Errorf("%q is taken as %+v", text, x)
		}
	}
}

// A model of an Ollama store is found by its names, carries what its layers say, and one of another family is named as that.
func TestOllamaStoreIsRead(t *testing.T) {
	o := ollamastore.Store{Dir: t.TempDir()}
	s := Store{Home: t.TempDir(), Ollama: []ollamastore.Store{o}}
	for name, family := range map[string]string{"ns/m:t": "gemma2", "other": "llama"} {
		model, err := o.PutBlob(strings.NewReader("weights"), "")
		if err != nil {
			t.Fatal(err)
		}
		n := mustOllama(t, name)
		_, err = o.Create(n, ollamastore.Draft{
			Model: model, Family: family, System: "I am " + name, Template: "unheard of {{ .Prompt }}", Params: map[string]any{"temperature": 0.5, "num_gpu": 1},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ollama://ns/m:t", "m:t", "m", "ns/m"} {
		all, err := s.Find(name)
		if err != nil || len(all) != 1 || all[0].ID() != "ollama://ns/m:t" {
			t.Errorf("%s finds %v, %v", name, all, err)
			continue
		}
		x, err := s.Settings(&all[0])
		if err != nil || x.System != "I am ns/m:t" || *x.Parameters.Temperature != 0.5 || !slices.Equal(x.Ignored, []string{"num_gpu"}) || len(x.Notices()) != 2 {
			t.Errorf("%+v, %v", x, err)
		}
	}
	if _, err := s.Find("ollama://other"); err == nil || !strings.Contains(err.Error(), `of the kind "llama"`) {
		t.Errorf("want to be told of the other kind, got %v", err)
	}
	if all, err := s.List(); err != nil || len(all) != 1 {
		t.Errorf("%d models listed, %v", len(all), err)
	}
}

func mustOllama(t *testing.T, s string) names.OllamaName {
	t.Helper()
	n, err := names.ParseOllama(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What a Modelfile says counts, and nothing else is lost.
func TestChange(t *testing.T) {
	half, one := 0.5, 1
	s := Settings{
		System: "old", SystemMode: "strict", Unknown: "template", Adapters: []string{"a"}, Licenses: []string{"free"},
		Parameters: modelfile.Parameters{Temperature: &half, Stop: []string{"x", "y"}}, Messages: []modelfile.Message{{Role: "user", Content: "Hi"}},
	}
	before := s
	if err := s.Change(&modelfile.File{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s); diff != "" {
		t.Errorf("nothing said: %s", diff)
	}
	template, _ := modelfile.GoTemplate("merge")
	f := &modelfile.File{
		NoSystem: true, Template: template, Adapters: []string{"b"}, Parameters: modelfile.Parameters{TopK: &one, Stop: []string{"z"}},
	}
	if err := s.Change(f); err != nil {
		t.Fatal(err)
	}
	want := Settings{
		SystemMode: "merge", Template: template, Adapters: []string{"a", "b"}, Licenses: before.Licenses, Messages: before.Messages,
		Parameters: modelfile.Parameters{Temperature: &half, TopK: &one, Stop: []string{"z"}},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := s.Change(&modelfile.File{Template: "{{ .Nothing }}"}); err == nil {
		t.Error("a template that is none of ours is taken")
	}
}

// Origin and settings of a model are there before it, and gone when making it fails; those of a model that is there already stay as they are.
func TestMakeFails(t *testing.T) {
	s := Store{Home: t.TempDir()}
	model := s.Path("owner/name", "name.gguf")
	failed := errors.New("no room")
	make := func(says string, place func() error) error {
		return s.Make(t.Context(), model, Origin{Source: says}, Settings{System: says}, func() error {
			if x, err := ReadSettings(model); err != nil || x.System != says || origin(s.Home, model) == nil {
				t.Errorf("a model is made before what it carries: %+v, %v", x, err)
			}
			return place()
		})
	}
	if err := make("first", func() error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if _, err := os.Stat(settingsPath(model)); !errors.Is(err, fs.ErrNotExist) || origin(s.Home, model) != nil {
		t.Errorf("settings (%v) or origin of a model that was not made", err)
	}
	if err := make("second", func() error { return errors.Join(os.WriteFile(model, nil, 0o666), failed) }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if err := make("third", func() error { return nil }); !errors.Is(err, ErrExists) {
		t.Errorf("%v, want %v", err, ErrExists)
	}
	if x, err := ReadSettings(model); err != nil || x.System != "second" || origin(s.Home, model).Source != "second" {
		t.Errorf("of a model that is there: %+v, %v", x, err)
	}
}
