package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/server/access"
	"github.com/systemgemma/systemgemma/internal/app/server/gate"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// toy is a dialect for tests: /toy/...
type toy struct {
	begun chan struct{} // an endpoint that hangs has begun
	ended chan error    // and why it ended
}

func (d *toy) dialect() Dialect {
	return Dialect{
		Name: "toy", Prefixes: []string{"/toy/"},
		Error: func(w http.ResponseWriter, e *problem.Error) {
			_ = Reply(w, e.Status, map[string]string{"toy": e.Message})
		},
		Routes: []Route{
			{Pattern: "POST /toy/echo", Handle: func(w http.ResponseWriter, r *http.Request) error {
				f, err := ReadJSON(r)
				if err != nil {
					return err
				}
				text, _, err := f.Text("text")
				if err != nil {
					return err
				}
				Unknown(r, f)
				return Reply(w, http.StatusOK, map[string]string{"text": text, "key": KeyName(r)})
			}},
			{Pattern: "GET /toy/path/{id...}", Handle: func(w http.ResponseWriter, r *http.Request) error { return Reply(w, http.StatusOK, r.PathValue("id")) }},
			{Pattern: "GET /toy/panic", Handle: func(http.ResponseWriter, *http.Request) error { panic("secret") }},
			{Pattern: "GET /toy/fail", Handle: func(http.ResponseWriter, *http.Request) error { return errors.New("secret") }},
			{Pattern: "GET /toy/hang", Work: true, Handle: func(w http.ResponseWriter, r *http.Request) error {
				s := NewEvents(w, r)
				defer s.Close()
				if err := s.Send("begun"); err != nil {
					return err
				}
				d.begun <- struct{}{}
				<-r.Context().Done()
				err := s.Failed(context.Cause(r.Context()), func(e *problem.Error) error { return s.Send(OpenAIError(e)) })
				d.ended <- err
				return err
			}},
			{Pattern: "GET /toy/silent", Work: true, Handle: func(w http.ResponseWriter, r *http.Request) error {
				s := NewEvents(w, r)
				defer s.Close()
				d.begun <- struct{}{}
				if err := <-d.ended; err != nil {
					return err
				}
				return s.Done()
			}},
			{Pattern: "GET /toy/named", Work: true, Handle: func(w http.ResponseWriter, r *http.Request) error {
				s, err := NewNamedEvents(w, r, Event{"start", 1}, Event{"ping", 2})
				if err != nil {
					return err
				}
				defer s.Close()
				d.begun <- struct{}{}
				if err := <-d.ended; err != nil {
					return err
				}
				return s.SendEvent("end", 3)
			}},
		},
	}
}

func newServer(t testing.TB, cfg Config) (*Server, *toy) {
	t.Helper()
	models, err := hosted.New(hosted.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = models.Close(context.Background()) })
	s := New(models, cfg)
	d := &toy{begun: make(chan struct{}, 10), ended: make(chan error, 10)}
	s.Add(d.dialect())
	s.Mount("GET /", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }))
	return s, d
}

// What becomes of requests before and after an endpoint, and in whose form errors are.
func TestTheWayOfRequests(t *testing.T) {
	var keys access.Keys
	if err := keys.Add("laptop", "correct-horse"); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	s, _ := newServer(t, Config{Keys: &keys, MaxBody: 1000, Policy: access.Policy{Origins: []string{"https://app.example"}}, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	key := []string{"Authorization", "Bearer correct-horse"}
	page := []string{"Authorization", "Bearer correct-horse", "Origin", "https://app.example"}
	for _, x := range []struct {
		method, path, body string
		headers            []string
		status             int
		want               string
	}{
		{"POST", "/toy/echo", `{"text":"a"}`, key, 200, `{"key":"laptop","text":"a"}`},
		{"POST", "/toy/echo", `{"text":"a"}`, append(key, "Content-Type", "text/plain"), 200, `"text":"a"`},
		{"POST", "/toy/echo", `{"text":"a"}`, append(page, "Content-Type", "text/plain"), 415, `{"toy":"want Content-Type: application/json`},
		{"POST", "/toy/echo", `{"text":"a"}`, append(page, "Content-Type", "application/json; charset=utf-8"), 200, `"text":"a"`},
		{"POST", "/toy/echo", `{"text":"a"}`, append(key, "Content-Encoding", "gzip"), 415, `{"toy":"want a body as it is`},
		{"POST", "/toy/echo", `{"text":3}`, key, 400, `{"toy":"text: want a text, found 3"}`},
		{"POST", "/toy/echo", `{"text":"` + strings.Repeat("a", 1000) + `"}`, key, 413, `{"toy":"want a body of at most 1000 bytes`},
		{"POST", "/toy/echo", `{}`, nil, 401, `{"toy":"this server wants an API key`},
		{"POST", "/toy/echo", `{}`, []string{"Authorization", "Bearer wrong"}, 401, `{"toy":"the API key is not`},
		{"POST", "/toy/echo", `{}`, append(key, "Host", "evil.example"), 403, "--allow-host evil.example"},
		{"POST", "/toy/echo", `{}`, append(key, "Origin", "https://evil.example"), 403, "--allow-origin https://evil.example"},
		{"GET", "/toy/echo", "", key, 405, `{"toy":"/toy/echo takes POST, not GET"}`},
		{"GET", "/toy/nothing", "", key, 404, `{"toy":"nothing is at /toy/nothing; there are /toy/echo, /toy/path/{id...}, /toy/panic, /toy/fail, /toy/hang, /toy/silent, /toy/named"}`},
		{"POST", "/toy", "", key, 405, `/toy takes GET, not POST`},
		{"GET", "/toy/path/a/b:c", "", key, 200, `"a/b:c"`},
		{"GET", "/toy//path/a", "", key, 404, `{"toy":"nothing is at`},
		{"GET", "/toy/fail", "", key, 500, `{"toy":"the server failed; its log says why`},
		{"GET", "/toy/panic", "", key, 500, `{"toy":"the server failed; its log says why`},
		{"OPTIONS", "/toy/echo", "", page, 204, ""},
		{"OPTIONS", "/toy/echo", "", key, 405, `{"toy":`},
		{"POST", "/nothing", "{}", key, 405, `{"error":{"message":"/nothing takes GET, not POST"`},
		{"GET", "/nothing", "", nil, 200, "page"},
		{"GET", "/health", "", nil, 200, `{"status":"ok"}`},
		{"GET", "/readyz", "", nil, 200, `{"status":"ok"}`},
		{"GET", "/version", "", nil, 200, `{"version":`},
		{"GET", "/status", "", nil, 401, `"code":"invalid_api_key"`},
		{"GET", "/status", "", key, 200, `"requests":{"running":0,"queued":0}`},
		{"GET", "/metrics", "", key, 200, "llamacpp:tokens_predicted_total 0"},
		{"DELETE", "/health", "", nil, 405, "takes GET"},
	} {
		w := ask.Do(s, x.method, x.path, x.body, x.headers...)
		if w.Code != x.status || !strings.Contains(w.Body.String(), x.want) || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s %s %v: %d %s, want %d %s", x.method, x.path, x.headers, w.Code, w.Body, x.status, x.want)
		}
		if strings.Contains(w.Body.String(), "secret") || w.Header().Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %s %v", x.method, x.path, w.Body, w.Header())
		}
		if o := w.Header().Get("Access-Control-Allow-Origin"); o != "" && o != "https://app.example" {
			t.Errorf("%s %s: origin %s is allowed", x.method, x.path, o)
		}
	}
	if strings.Count(logged.String(), "secret") != 2 || !strings.Contains(logged.String(), "goroutine") {
		t.Errorf("log: %s\nwant both causes, and where the panic came", logged.String())
	}
	if strings.Contains(logged.String(), `endpoint="GET /"`) || !strings.Contains(logged.String(), `endpoint="GET /health"`) {
		t.Error("want one line a request in the log, and none of a page's files")
	}
	if strings.Contains(logged.String(), "horse") {
		t.Error("a key is in the log")
	}
	if got := ask.Do(s, "GET", "/health", "", "X-Request-Id", "mine-7").Header().Get("X-Request-Id"); got != "mine-7" {
		t.Errorf("request id %q", got)
	}
	if got := ask.Do(s, "GET", "/health", "", "X-Request-Id", "a b").Header().Get("X-Request-Id"); strings.Contains(got, " ") {
		t.Errorf("request id %q", got)
	}
}

// running is a server on a listener of its own.
type running struct {
	url       string
	stop, now context.CancelFunc
	done      chan error
}

func start(t *testing.T, s *Server) *running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{url: "http://" + l.Addr().String(), done: make(chan error, 1)}
	var ctx, now context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	now, r.now = context.WithCancel(context.Background())
	go func() { r.done <- s.Serve(ctx, now, l) }()
	t.Cleanup(func() {
		r.stop()
		r.now()
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

func get(t *testing.T, ctx context.Context, url string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// A client who leaves ends its request.
func TestClientLeaves(t *testing.T) {
	s, d := newServer(t, Config{})
	r := start(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	resp := get(t, ctx, r.url+"/toy/hang")
	<-d.begun
	cancel()
	_ = resp.Body.Close()
	select {
	case err := <-d.ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the request goes on without its client")
	}
}

// A stop is told at once, lets running answers end, and cuts them after the grace, with an error as their last event.
func TestStop(t *testing.T) {
	s, d := newServer(t, Config{Grace: time.Second})
	r := start(t, s)
	hang := get(t, context.Background(), r.url+"/toy/hang")
	<-d.begun
	r.stop()
	for ready := true; ready; time.Sleep(time.Millisecond) {
		resp := get(t, context.Background(), r.url+"/readyz")
		ready = resp.StatusCode == http.StatusOK
	}
	if resp := get(t, context.Background(), r.url+"/toy/hang"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("new work while stopping: %d", resp.StatusCode)
	}
	text, err := io.ReadAll(hang.Body)
	if err != nil || !strings.HasSuffix(string(text), "\n\n") || !strings.Contains(string(text), `data: "begun"`) || !strings.Contains(string(text), `"code":"server_stopping"`) {
		t.Errorf("cut answer: %q, %v", text, err)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}

	s, d = newServer(t, Config{Grace: time.Hour})
	r = start(t, s)
	resp := get(t, context.Background(), r.url+"/health") // the connection is there
	_ = resp.Body.Close()
	var all sync.WaitGroup
	all.Go(func() {
		resp, err := http.Get(r.url + "/toy/silent")
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		if text, err := io.ReadAll(resp.Body); string(text) != "data: [DONE]\n\n" || err != nil {
			t.Errorf("an answer that ends while stopping: %q, %v", text, err)
		}
	})
	<-d.begun
	r.stop()
	d.ended <- nil
	all.Wait()
	if err := <-r.done; err != nil { // long before the hour is over
		t.Error(err)
	}

	s, d = newServer(t, Config{Grace: time.Hour})
	r = start(t, s)
	hang = get(t, context.Background(), r.url+"/toy/hang")
	<-d.begun
	r.stop()
	r.now() // the second signal
	_, _ = io.ReadAll(hang.Body)
	<-r.done
}

// A silent stream says that it lives; what fails before the first piece is a plain error.
func TestStreams(t *testing.T) {
	s, d := newServer(t, Config{Ping: time.Millisecond})
	r := start(t, s)
	resp := get(t, context.Background(), r.url+"/toy/silent") // returns with the first comment
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != ": working" || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%q, %v", lines.Text(), resp.Header)
	}
	<-d.begun
	d.ended <- nil
	last := ""
	for lines.Scan() {
		if lines.Text() != "" && lines.Text() != ": working" {
			last += lines.Text()
		}
	}
	if last != "data: [DONE]" {
		t.Errorf("%q", last)
	}
	resp = get(t, context.Background(), r.url+"/toy/named") // returns with the first sign of life
	<-d.begun
	d.ended <- nil
	named, err := io.ReadAll(resp.Body)
	const start, ping, end = "event: start\ndata: 1\n\n", "event: ping\ndata: 2\n\n", "event: end\ndata: 3\n\n"
	if pings := strings.Count(string(named), ping); err != nil || pings == 0 || string(named) != start+strings.Repeat(ping, pings)+end {
		t.Errorf("%q, %v", named, err)
	}
	s, d = newServer(t, Config{})
	d.ended <- nil
	if w := ask.Do(s, "GET", "/toy/named", ""); w.Body.String() != start+end {
		t.Errorf("%q", w.Body)
	}
	<-d.begun
	d.ended <- problem.Invalid("x", "wrong")
	if w := ask.Do(s, "GET", "/toy/silent", ""); w.Code != 400 || w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), "x: wrong") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

// A client that does not read is left after a time.
func TestSlowClient(t *testing.T) {
	s, _ := newServer(t, Config{Write: 50 * time.Millisecond})
	done := make(chan error, 1)
	s.Add(Dialect{Name: "flood", Prefixes: []string{"/flood"}, Error: WriteOpenAIError, Routes: []Route{{Pattern: "GET /flood", Handle: func(w http.ResponseWriter, r *http.Request) error {
		out := NewLines(w, r)
		defer out.Close()
		for {
			if err := out.Send(strings.Repeat("x", 1<<20)); err != nil {
				done <- err
				return err
			}
		}
	}}}})
	r := start(t, s)
	get(t, context.Background(), r.url+"/flood") // its body is not read
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the server waits for ever")
	}
}

// Beyond its places and its queue a server says at once when to try again.
func TestOverload(t *testing.T) {
	s, d := newServer(t, Config{Gate: gate.Options{Parallel: 1, Queue: 1}})
	r := start(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	get(t, ctx, r.url+"/toy/hang")
	<-d.begun
	go func() {
		_, _ = http.DefaultClient.Do(must(http.NewRequestWithContext(ctx, "GET", r.url+"/toy/hang", nil)))
	}()
	for queued := 0; queued == 0; time.Sleep(time.Millisecond) {
		_, queued = s.gate.Load()
	}
	resp := get(t, context.Background(), r.url+"/toy/hang")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	var x struct{ Requests struct{ Running, Queued int } }
	if err := json.NewDecoder(get(t, context.Background(), r.url+"/status").Body).Decode(&x); err != nil || x.Requests.Running != 1 || x.Requests.Queued != 1 {
		t.Errorf("status %+v, %v", x, err)
	}
	cancel()
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

// Every cell of who asks from where: no other origin is let in, reflected or given credentials, whatever the rest.
func TestAccessMatrix(t *testing.T) {
	var keys access.Keys
	if err := keys.Add("laptop", "correct-horse"); err != nil {
		t.Fatal(err)
	}
	cells := 0
	for _, keyed := range []bool{false, true} {
		cfg := Config{}
		if keyed {
			cfg.Keys = &keys
		}
		s, _ := newServer(t, cfg)
		for host, hostOK := range map[string]bool{"localhost": true, "127.0.0.1:11434": true, "[::1]:11434": true, "localhost.": true, "board.lan": false, "evil.example": false, "127.0.0.1.nip.example": false, "": false} {
			for origin, originOK := range map[string]bool{"": true, "self": true, "null": false, "http://localhost:3000": false, "https://evil.example": false, "file://": false} {
				for _, kind := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded"} {
					for key, keyOK := range map[string]bool{"": !keyed, "wrong-horse": !keyed, "correct-horse": true} {
						for _, method := range []string{"GET", "POST", "OPTIONS"} {
							path := map[string]string{"GET": "/status", "POST": "/toy/echo", "OPTIONS": "/toy/echo"}[method]
							headers := []string{"Host", host, "Content-Type", kind}
							if origin == "self" {
								headers = append(headers, "Origin", "http://"+host)
							} else if origin != "" {
								headers = append(headers, "Origin", origin)
							}
							if key != "" {
								headers = append(headers, "Authorization", "Bearer "+key)
							}
							want := http.StatusOK
							switch {
							case !hostOK || !originOK:
								want = http.StatusForbidden
							case method == "OPTIONS":
								want = http.StatusMethodNotAllowed
							case !keyOK:
								want = http.StatusUnauthorized
							case method == "POST" && origin != "" && kind != "application/json":
								want = http.StatusUnsupportedMediaType
							}
							w := ask.Do(s, method, path, `{"text":"a"}`, headers...)
							cells++
							if w.Code != want {
								t.Errorf("keyed %v, %s %v: %d, want %d: %s", keyed, method, headers, w.Code, want, w.Body)
							}
							if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" {
								t.Errorf("%v: %v", headers, h)
							}
						}
					}
				}
			}
		}
	}
	if cells < 600 {
		t.Errorf("%d cells, want 600", cells)
	}
}

func TestTemperatures(t *testing.T) {
	if list := temperatures(t.TempDir()); len(list) != 0 {
		t.Errorf("%v", list)
	}
	var s sensors
	if s.share("cpu 10 0 10 80 0 0 0 0\n") != nil {
		t.Error("known at once")
	}
	if x := s.share("cpu 40 0 20 140 0 0 0 0\n"); x == nil || *x != 0.4 {
		t.Errorf("busy %v, want 0.4", x)
	}
	if got := fmt.Sprint(loads("0.5 1 2.25 1/100 7\n"), loads("x"), loads("")); got != "[0.5 1 2.25] [] []" {
		t.Error(got)
	}
}
