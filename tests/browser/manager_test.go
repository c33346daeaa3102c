package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"
)

// store has mini, and the models of Stored. A pull wants terms accepted, tells its progress, and ends when its client leaves; "none" is nowhere.
func (s *script) store(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/tags", s.json(func(*http.Request) any {
		s.mu.Lock()
		defer s.mu.Unlock()
		list := []any{map[string]any{"name": "mini:latest", "size": 3_400_000, "details": map[string]any{"quantization_level": "w8a8"}}}
		for _, name := range s.Stored {
			list = append(list, map[string]any{"name": name + ":latest", "size": 2_610_000_000, "details": map[string]any{"quantization_level": "w4"}, "systemgemma": map[string]any{"id": name + ":w4-0123abcd"}})
		}
		return map[string]any{"models": list}
	}))
	mux.HandleFunc("DELETE /api/delete", s.json(func(r *http.Request) any {
		var q struct{ Model string }
		_ = json.NewDecoder(r.Body).Decode(&q)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.Stored = slices.DeleteFunc(s.Stored, func(name string) bool { return name+":w4-0123abcd" == q.Model })
		return map[string]any{"status": "success"}
	}))
	mux.HandleFunc("POST /api/pull", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Model  string
			Accept bool `json:"accept_license"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || !s.allowed(w, r) {
			return
		}
		send := func(x map[string]any) {
			body, _ := json.Marshal(x)
			_, _ = fmt.Fprintf(w, "%s\n", body)
			_ = http.NewResponseController(w).Flush()
		}
		send(map[string]any{"status": "pulling manifest"})
		switch {
		case q.Model == "none":
			send(map[string]any{"error": "model not found: none is nowhere"})
			return
		case !q.Accept:
			send(map[string]any{"error": "the terms of " + q.Model + " are not accepted yet", "code": "license_not_accepted"})
			return
		}
		for done := 1; done <= 8; done++ {
			send(map[string]any{"status": "pulling model.gguf", "digest": "model.gguf", "total": 8_000_000, "completed": done * 1_000_000})
			for q.Model == "slow" {
				select {
				case <-r.Context().Done():
					s.mu.Lock()
					s.left++
					s.mu.Unlock()
					return
				case <-time.After(time.Second):
				}
			}
		}
		s.mu.Lock()
		s.Stored = append(s.Stored, q.Model)
		s.mu.Unlock()
		send(map[string]any{"status": "success"})
	})
}

// A model is fetched once its terms are accepted, is then in the list, and can be removed; what goes wrong is said.
func TestModels(t *testing.T) {
	s := newScript(t)
	p := open(t, s.URL, desktop)
	p.press("Dashboard")
	const section = `document.querySelector(".manager")`
	shows := func(text string) { p.Helper(); p.until(section + `.innerText.includes(` + quote(text) + `)`) }
	shows("mini")
	if eval[bool](p, section+`.querySelector("td button") !== null`) {
		t.Error("mini can be removed")
	}
	p.write("Get a model", "none")
	p.enter()
	shows("none is nowhere")

	p.write("Get a model", "owner/new")
	p.enter()
	p.until(`document.querySelector("dialog[open]")?.innerText.includes("ai.google.dev/gemma/terms")`)
	p.press("Cancel")
	shows("its terms are not accepted")
	p.write("Get a model", "owner/new")
	p.enter()
	p.press("I have read and accept them")
	shows("owner/new is here")
	shows("2.61 GB")
	eval[bool](p, `!`+section+`.scrollIntoView(false)`)
	p.view("models")
	p.until(`document.getElementById("status").textContent === "owner/new is here"`)

	p.press("Remove owner/new")
	p.press("Cancel")
	shows("2.61 GB")
	p.press("Remove owner/new")
	p.pressAt(`document.querySelector("dialog button.danger")`, "Remove")
	p.until(`!` + section + `.innerText.includes("2.61 GB")`)

	p.write("Get a model", "slow")
	p.enter()
	p.press("I have read and accept them")
	shows("1.0 MB of 8.0 MB")
	p.press("Stop getting it")
	shows("Stopped.")
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		left := s.left
		s.mu.Unlock()
		if left == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the pull goes on without its client")
		}
	}
}
