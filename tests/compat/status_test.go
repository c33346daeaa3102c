package compat

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// serverStatus is a part of /status.
type serverStatus struct {
	Requests struct{ Running, Queued int }
}

func status(t *testing.T, s server) (x serverStatus) {
	t.Helper()
	r, err := http.Get(s.url + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&x); err != nil {
		t.Fatal(err)
	}
	return x
}

// post sends a body and returns what came.
func post(url, body string) (int, []byte, error) {
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, b, err
}
