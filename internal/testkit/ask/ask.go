// Package ask sends requests to a server under test as a program on this machine would, and reads its answers.
//
// It must not know what is served, and be imported by tests only.
package ask

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Server is what is asked.
type Server interface{ Handler() http.Handler }

// Do sends a request. headers are names and values; Host is that of the request.
func Do(s Server, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// Get is Do without a body.
func Get(s Server, path string) *httptest.ResponseRecorder { return Do(s, http.MethodGet, path, "") }

// Post is Do with one.
func Post(s Server, path, body string) *httptest.ResponseRecorder {
	return Do(s, http.MethodPost, path, body)
}

// JSON reads an answer of status 200.
func JSON[T any](t testing.TB, w *httptest.ResponseRecorder) (x T) {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &x); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return x
}

// Lines are those of a stream of JSON, a value in each.
func Lines[T any](t testing.TB, w *httptest.ResponseRecorder) (list []T) {
	t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("status %d, %v: %s", w.Code, w.Header(), w.Body)
	}
	for s := bufio.NewScanner(w.Body); s.Scan(); {
		var x T
		if err := json.Unmarshal(s.Bytes(), &x); err != nil {
			t.Fatalf("line %q: %v", s.Text(), err)
		}
		list = append(list, x)
	}
	return list
}

// Event is a server-sent event.
type Event struct{ Name, Data string }

// Events are those of a stream, comments left out. Each is data on one line, perhaps after a name.
func Events(t testing.TB, w *httptest.ResponseRecorder) (list []Event) {
	t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %v: %s", w.Code, w.Header(), w.Body)
	}
	text, ended := strings.CutSuffix(w.Body.String(), "\n\n")
	if !ended {
		t.Fatalf("the last event has no end: %q", text)
	}
	for part := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(part, ":") {
			continue
		}
		var e Event
		if rest, named := strings.CutPrefix(part, "event: "); named {
			e.Name, part, _ = strings.Cut(rest, "\n")
		}
		data, ok := strings.CutPrefix(part, "data: ")
		if e.Data = data; !ok || strings.Contains(data, "\n") {
			t.Fatalf("event %q: want a name, and data on one line", part)
		}
		list = append(list, e)
	}
	return list
}

// Data is the JSON of an event.
func Data[T any](t testing.TB, e Event) (x T) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.Data), &x); err != nil {
		t.Fatalf("event %s %q: %v", e.Name, e.Data, err)
	}
	return x
}
