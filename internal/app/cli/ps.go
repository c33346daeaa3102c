package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// psCmd is `systemgemma ps`.
type psCmd struct {
	Server string `default:"127.0.0.1:11434" placeholder:"ADDRESS" group:"Server" help:"Where systemgemma serve answers: HOST:PORT, http(s)://HOST:PORT or unix:PATH. SYSTEMGEMMA_API_KEY holds the key that it may want."`
	JSON   bool   `name:"json" group:"Output" help:"Write one JSON list."`
}

// loadedModel is a model that a server has open.
type loadedModel struct {
	Name    string    `json:"name"`
	Bytes   int64     `json:"bytes"`   // of memory
	Context int       `json:"context"` // tokens
	Until   time.Time `json:"until,omitzero"`
}

// Run asks the server.
func (c *psCmd) Run(ctx context.Context, env *Env) error {
	all, err := c.ask(ctx, env)
	if err != nil {
		return fmt.Errorf("ps: %w", err)
	}
	if c.JSON {
		return writeJSON(env, all)
	}
	if len(all) == 0 {
		return write(env.Stderr, "the server has no model open; it opens one when it is asked something\n")
	}
	rows := [][]string{{"MODEL", "MEMORY", "CONTEXT", "OPEN UNTIL"}}
	for _, m := range all {
		until := "it is asked to close"
		if !m.Until.IsZero() {
			until = m.Until.Local().Format(time.TimeOnly)
		}
		rows = append(rows, []string{m.Name, size(m.Bytes), fmt.Sprintf("%d tokens", m.Context), until})
	}
	return write(env.Stdout, table(rows, 1))
}

// ask is GET /api/ps, which Ollama answers too.
func (c *psCmd) ask(ctx context.Context, env *Env) ([]loadedModel, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	at, transport, err := c.address()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/api/ps", nil)
	if err != nil {
		return nil, usagef("--server: %w", err)
	}
	key := env.getenv("SYSTEMGEMMA_API_KEY")
	if _, secret, named := strings.Cut(key, "="); named {
		key = secret
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("no server answers at %s (%w); systemgemma serve starts one", c.Server, err)
	}
	defer func() { _ = response.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return nil, fmt.Errorf("the server at %s wants an API key (401): set SYSTEMGEMMA_API_KEY", c.Server)
	default:
		return nil, fmt.Errorf("the server at %s answers with status %d: %.200q", c.Server, response.StatusCode, text)
	}
	var answer struct {
		Models []struct {
			Name    string    `json:"name"`
			Size    int64     `json:"size"`
			Context int       `json:"context_length"`
			Expires time.Time `json:"expires_at"`
		} `json:"models"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("what answers at %s is no such server: %w", c.Server, err)
	}
	all := []loadedModel{}
	for _, m := range answer.Models {
		x := loadedModel{Name: m.Name, Bytes: m.Size, Context: m.Context, Until: m.Expires}
		if time.Until(m.Expires) > 100*365*24*time.Hour { // how Ollama's API says: in use, or kept
			x.Until = time.Time{}
		}
		all = append(all, x)
	}
	return all, nil
}

// address is the server's, and how to get there: never by a proxy.
func (c *psCmd) address() (at string, t *http.Transport, err error) {
	t = &http.Transport{DisableKeepAlives: true}
	if path, ok := strings.CutPrefix(c.Server, "unix:"); ok {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		return "http://systemgemma", t, nil
	}
	at = c.Server
	if !strings.Contains(at, "://") {
		at = "http://" + at
	}
	if u, err := url.Parse(at); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", nil, usagef("--server: want HOST:PORT, http(s)://HOST:PORT or unix:PATH, found %q", c.Server)
	}
	return strings.TrimRight(at, "/"), t, nil
}
