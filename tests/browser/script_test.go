package browser

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/webui"
)

// script is a server that speaks the API as the page uses it and answers what a test wants: hostile text, slow text, errors.
type script struct {
	*httptest.Server
	Answer  func(messages []message) string // the whole answer; nil repeats what was said
	Pause   time.Duration                   // between pieces
	Key     string                          // "": none is wanted
	Reading int                             // steps of reading the prompt, of which it tells
	Stored  []string                        // models that can be removed

	mu       sync.Mutex
	requests []request // guarded by mu; what was asked for answers
	left     int       // guarded by mu; clients that left amid an answer
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type request struct {
	Model       string    `json:"model"`
	Messages    []message `json:"messages"`
	SystemMode  string    `json:"system_mode"`
	Continue    bool      `json:"continue_final_message"`
	Logprobs    bool      `json:"logprobs"`
	Progress    bool      `json:"return_progress"`
	Temperature *float64  `json:"temperature"`
	Stop        []string  `json:"stop"`
}

func newScript(t *testing.T) *script {
	s := &script{}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", webui.Handler())
	mux.Handle("GET /ui/", webui.Handler())
	mux.HandleFunc("GET /v1/models", s.json(func(*http.Request) any {
		return map[string]any{"object": "list", "data": []any{map[string]any{"id": "mini", "object": "model", "context_length": 2048}}}
	}))
	mux.HandleFunc("POST /v1/chat/completions", s.chat)
	mux.HandleFunc("POST /apply-template", s.json(func(r *http.Request) any {
		var q request
		_ = json.NewDecoder(r.Body).Decode(&q)
		segments := []any{map[string]any{"text": "<bos>", "control": true}}
		prompt, ids := "<bos>", []int{2}
		for _, m := range q.Messages {
			prompt += m.Content
			segments = append(segments, map[string]any{"text": m.Content, "control": false})
			for range strings.Fields(m.Content) {
				ids = append(ids, 100+len(ids))
			}
		}
		return map[string]any{"prompt": prompt, "ids": ids, "segments": segments}
	}))
	mux.HandleFunc("POST /detokenize", s.json(func(r *http.Request) any {
		var q struct{ Tokens []int }
		_ = json.NewDecoder(r.Body).Decode(&q)
		pieces := make([]string, len(q.Tokens))
		for i, id := range q.Tokens {
			pieces[i] = fmt.Sprintf("t%d", id)
			if id == 2 {
				pieces[i] = "<bos>"
			}
		}
		return map[string]any{"pieces": pieces}
	}))
	s.store(mux)
	began := time.Now()
	mux.HandleFunc("GET /status", s.json(func(*http.Request) any {
		up := time.Since(began).Seconds()
		return map[string]any{
			"version": map[string]any{"version": "v0.1.0"}, "uptime": up, "requests": map[string]any{"running": int(up) % 4, "queued": 0},
			"tokens": map[string]any{"prompt": 1200, "cached": 300, "generated": 4000}, "rates": map[string]any{"prefill": 900 + 300*math.Sin(up), "decode": 210 + 40*math.Sin(up/2)},
			"kv":           map[string]any{"used": 9_000_000 + int(1e6*math.Sin(up)), "pinned": 0, "limit": 64_000_000},
			"models":       []any{map[string]any{"name": "mini", "bytes": 68_000_000, "context": 2048, "requests": 1, "running": 1, "waiting": 0, "kv_bytes": 9_000_000}},
			"memory":       map[string]any{"models": 68_000_000, "process": 41_000_000, "total": 8_000_000_000},
			"cpu":          map[string]any{"name": "Rockchip RK3588", "cpus": 8, "threads": 4, "kernel": "neon", "busy": 0.4 + 0.1*math.Sin(up)},
			"temperatures": []any{map[string]any{"name": "bigcore0-thermal", "celsius": 52.5 + 2*math.Sin(up)}},
		}
	}))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *script) allowed(w http.ResponseWriter, r *http.Request) bool {
	if s.Key == "" || r.Header.Get("Authorization") == "Bearer "+s.Key {
		return true
	}
	w.WriteHeader(http.StatusUnauthorized)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": "want an API key"}})
	return false
}

func (s *script) json(answer func(*http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.allowed(w, r) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer(r))
		}
	}
}

// chat streams the answer in pieces of about a word.
func (s *script) chat(w http.ResponseWriter, r *http.Request) {
	if !s.allowed(w, r) {
		return
	}
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, q)
	s.mu.Unlock()
	text := "You said: " + q.Messages[len(q.Messages)-1].Content
	if s.Answer != nil {
		text = s.Answer(q.Messages)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if q.SystemMode != "" {
		w.Header().Set("X-System-Mode", q.SystemMode)
	}
	send := func(x any) bool {
		body, _ := json.Marshal(x)
		_, _ = fmt.Fprintf(w, "data: %s\n\n", body)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			s.mu.Lock()
			s.left++
			s.mu.Unlock()
			return false
		case <-time.After(s.Pause):
			return true
		}
	}
	choice := func(delta map[string]any, more map[string]any) map[string]any {
		c := map[string]any{"index": 0, "delta": delta}
		for k, v := range more {
			c[k] = v
		}
		return map[string]any{"object": "chat.completion.chunk", "choices": []any{c}}
	}
	if !send(choice(map[string]any{"role": "assistant"}, nil)) {
		return
	}
	for done := 0; q.Progress && done < s.Reading; done++ {
		if !send(map[string]any{"choices": []any{}, "prompt_progress": map[string]any{"processed": done, "total": s.Reading}}) {
			return
		}
	}
	count := 0
	for _, piece := range strings.SplitAfter(text, " ") {
		more := map[string]any{}
		if q.Logprobs {
			p := 0.95 / float64(1+count%4)
			more["logprobs"] = map[string]any{"content": []any{map[string]any{
				"token": piece, "logprob": math.Log(p), "top_logprobs": []any{map[string]any{"token": piece, "logprob": math.Log(p)}, map[string]any{"token": " other", "logprob": math.Log(0.04)}},
			}}}
		}
		if count++; !send(choice(map[string]any{"content": piece}, more)) {
			return
		}
	}
	send(choice(map[string]any{}, map[string]any{"finish_reason": "stop"}))
	send(map[string]any{"choices": []any{}, "usage": map[string]any{"prompt_tokens": 12, "completion_tokens": count}})
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

// asked are the requests so far.
func (s *script) asked() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.requests...)
}
