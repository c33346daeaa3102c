package ollama

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
	"github.com/systemgemma/systemgemma/internal/testkit/commithub"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// A model goes to the repository of a hub that its name says, with what it carries and a card; nothing large is sent twice.
func TestPushToAHub(t *testing.T) {
	sample.Skip(t) // it converts
	c := &commithub.Hub{Dir: t.TempDir()}
	h := httptest.NewServer(c)
	defer h.Close()
	c.URL = h.URL
	token := ""
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{Registry: asks, Hub: func(o hub.Options) (*hub.Client, error) {
		env := map[string]string{"HF_ENDPOINT": h.URL, "HF_HOME": filepath.Join(store.Home, "hf"), "HF_TOKEN": token}
		x, err := settings.FromEnv(func(k string) (string, bool) { v := env[k]; return v, v != "" }, store.Home)
		if err != nil {
			return nil, err
		}
		return hub.New(x, o)
	}})
	if w := ask.Post(s, "/api/create", `{"model":"me/pirate","from":"mini","system":"Talk like a pirate.","stream":false}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	refused := func(body string, status int, want string) {
		t.Helper()
		if w := ask.Post(s, "/api/push", body); w.Code != status || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %d %q", body, w.Code, w.Body, status, want)
		}
	}
	const pirate = `"model":"hf.co/me/pirate","stream":false`
	refused(`{`+pirate+`}`, 502, "no token")
	token = "hf_read"
	refused(`{`+pirate+`}`, 502, "token")
	token = commithub.Token
	refused(`{"model":"hf.co/me/none","stream":false}`, 404, "not found")
	refused(`{"model":"hf.co/mini","stream":false}`, 400, "OWNER/NAME")
	refused(`{"model":"hf.co/me/pirate@next","stream":false}`, 400, "revision")
	refused(`{"model":"hf.co/me/../x","stream":false}`, 400, "model")
	refused(`{`+pirate+`,"revision":"../x"}`, 400, "revision")
	refused(`{`+pirate+`,"insecure":true}`, 400, "insecure")
	refused(`{`+pirate+`,"username":"x"}`, 400, "username")
	if left, _ := os.ReadDir(c.Dir); len(left) > 0 {
		t.Errorf("what was refused was pushed: %v", left)
	}

	list := ask.Lines[status](t, ask.Post(s, "/api/push", `{"model":"hf.co/me/pirate","private":true,"commit_message":"A pirate"}`))
	sent := map[string]bool{}
	for _, x := range list {
		if x.Digest != "" {
			sent[x.Digest] = x.Total > 0 && x.Completed == x.Total
		}
	}
	if last := list[len(list)-1]; last.Status != "success" || len(sent) != 3 || !sent["Modelfile"] || !sent["README.md"] {
		t.Errorf("%+v", list)
	}
	if !slices.ContainsFunc(list, func(x status) bool { return strings.HasSuffix(x.Status, "/commit/1") }) {
		t.Errorf("nothing says where it is: %+v", list)
	}
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(c.Dir, "me", "pirate", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, want := range map[string]string{
		".visibility": "private", ".summary": "A pirate", ".branch": "main", ".sent": "1", "Modelfile": "SYSTEM Talk like a pirate.", "README.md": "pirate-cpu-w8a8-local-",
	} {
		if got := read(name); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	all, err := store.Find("me/pirate")
	if err != nil {
		t.Fatal(err)
	}
	if own, err := os.ReadFile(all[0].Path); err != nil || !bytes.Equal(own, []byte(read(filepath.Base(all[0].Path)))) {
		t.Errorf("the model came as another one: %v", err)
	}

	for _, body := range []string{`{` + pirate + `,"create_pr":true}`, `{` + pirate + `,"revision":"next"}`} {
		if x := ask.JSON[status](t, ask.Post(s, "/api/push", body)); x.Status != "success" || read(".sent") != "1" {
			t.Errorf("%s: %+v, %s files were sent", body, x, read(".sent"))
		}
	}
	if got := read(".branch"); got != "next" {
		t.Errorf("branch %q", got)
	}
	// A second name, for a repository of that name.
	if w := ask.Post(s, "/api/copy", `{"source":"me/pirate","destination":"hf.co/me/other"}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if x := ask.JSON[status](t, ask.Post(s, "/api/push", `{"model":"hf.co/me/other","stream":false}`)); x.Status != "success" {
		t.Errorf("%+v", x)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "me", "other", "Modelfile")); err != nil {
		t.Error(err)
	}
}
