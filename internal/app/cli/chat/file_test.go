package chat

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a chat.json")
	f := &fake{answers: []string{"A1", "A2"}}
	s := New(f, Config{System: "Be\nbrief."})
	for _, line := range []string{"/set top-k 5", "/set system-mode turn", "one", "<two>", "/save " + path} {
		if r := say(t, s, line); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	g := &fake{}
	loaded := New(g, Config{System: "other"})
	say(t, loaded, "gone")
	if r := say(t, loaded, "/load "+path); r.Err != nil || !strings.Contains(r.Text, "loaded 4 messages") {
		t.Fatalf("load: %+v", r)
	}
	say(t, loaded, "three")
	if got, want := g.ask(), "system: Be\nbrief. | user: one | assistant: A1 | user: <two> | assistant: A2 | user: three"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if diff := cmp.Diff(s.settings, loaded.settings); diff != "" {
		t.Errorf("settings (-saved +loaded):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("file: %v, %v; want mode 0600", info, err)
	}
	if r := say(t, loaded, "/save "+path); r.Err != nil {
		t.Errorf("saving again: %v", r.Err)
	}
}

func TestSaveReplacesChatsOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte("my notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := New(&fake{}, Config{}).Submit("/save " + path)
	if r.Err == nil || !strings.Contains(r.Err.Error(), "choose another name") {
		t.Errorf("error = %v, want it to ask for another name", r.Err)
	}
	if data, _ := os.ReadFile(path); string(data) != "my notes" {
		t.Errorf("file holds %q, want it as it was", data)
	}
}

func TestParseSavedRefuses(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"empty", "", "EOF"},
		{"no JSON", "hello", "invalid character"},
		{"no object", "[]", "cannot unmarshal"},
		{"null", "null", "messages: want a list"},
		{"no messages", `{}`, "messages: want a list"},
		{"more after it", `{"messages":[]} {}`, "found more after it"},
		{"unknown field", `{"messages":[],"x":1}`, `unknown field "x"`},
		{"unknown option", `{"messages":[],"options":{"x":1}}`, `unknown field "x"`},
		{"option out of range", `{"messages":[],"options":{"temperature":-1}}`, "options: temperature: want"},
		{"unknown mode", `{"messages":[],"options":{"system_mode":"x"}}`, "options: system mode: want"},
		{"system role", `{"messages":[{"role":"system","content":"x"}]}`, `messages[0]: want role user (user and assistant in turn), found "system"`},
		{"two users", `{"messages":[{"role":"user"},{"role":"user"}]}`, "messages[1]: want role assistant"},
		{"no answer", `{"messages":[{"role":"user","content":"x"}]}`, "want an answer to the last one"},
		{"no UTF-8", "{\"messages\":[],\"system\":\"\xff\"}", "want UTF-8"},
		{"deep", strings.Repeat("[", 100000), "depth"},
	} {
		if _, err := parseSaved([]byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error = %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestLoadFailureKeepsTheChat(t *testing.T) {
	f := &fake{}
	s := New(f, Config{System: "S"})
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none"), dir} {
		if r := s.Submit("/load " + path); r.Err == nil || !strings.Contains(r.Err.Error(), path) {
			t.Errorf("/load %s: error = %v, want it to name the file", path, r.Err)
		}
	}
	say(t, s, "hi")
	if got, want := f.ask(), "system: S | user: hi"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// Any bytes give a chat that Load can use, or an error.
func FuzzParseSaved(f *testing.F) {
	f.Add([]byte(`{"system":"s","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"options":{"top_k":3}}`))
	f.Add([]byte(`{"messages":[{"role":"user"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		saved, err := parseSaved(data)
		if err != nil {
			return
		}
		if len(saved.Messages)%2 != 0 {
			t.Fatalf("%q: %d messages, want pairs", data, len(saved.Messages))
		}
		if err := saved.Options.Validate(); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
	})
}
