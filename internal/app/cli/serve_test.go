package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serving is a server as the command line starts it.
type serving struct {
	url     string
	signals chan os.Signal
	status  chan int
	log     *writes // requests write there too, after a second signal even when Main has returned
}

func startServe(t *testing.T, environ []string, args ...string) *serving {
	t.Helper()
	out, in := io.Pipe()
	s := &serving{signals: make(chan os.Signal, 2), status: make(chan int, 1), log: &writes{first: make(chan struct{})}}
	env := &Env{Stdin: strings.NewReader(""), Stdout: in, Stderr: s.log, Interrupts: s.signals, Getenv: func(name string) string {
		for _, e := range environ {
			if value, ok := strings.CutPrefix(e, name+"="); ok {
				return value
			}
		}
		return ""
	}}
	go func() {
		s.status <- Main(context.Background(), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), env)
		_ = in.Close()
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("no greeting: exit status %d, %s", <-s.status, s.log)
	}
	_, rest, _ := strings.Cut(lines.Text(), " at ")
	s.url, _, _ = strings.Cut(rest, " ")
	return s
}

// end asks the server to end, and gives its exit status.
func (s *serving) end(t *testing.T, signal os.Signal) int {
	t.Helper()
	s.signals <- signal
	select {
	case status := <-s.status:
		return status
	case <-time.After(30 * time.Second):
		t.Fatal("the server goes on")
		return -1
	}
}

func TestServe(t *testing.T) {
	s := startServe(t, []string{"SYSTEMGEMMA_HOME=" + t.TempDir(), "SYSTEMGEMMA_ALLOW_HOST=board.local"}, "--alias", "gpt-4o=mini", "--api-key", "me=correct-horse", "--log-format", "json")
	ask := func(method, path, body string, headers ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
			if headers[i] == "Host" {
				r.Host = headers[i+1]
			}
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(text)
	}
	const chat = `{"model":"gpt-4o","messages":[{"role":"user","content":"secret words"}],"max_tokens":5}`
	if resp, text := ask("POST", "/v1/chat/completions", chat); resp.StatusCode != 401 {
		t.Errorf("without a key: %d %s", resp.StatusCode, text)
	}
	resp, text := ask("POST", "/v1/chat/completions", chat, "Authorization", "Bearer correct-horse")
	var x struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.Unmarshal([]byte(text), &x); resp.StatusCode != 200 || err != nil || len(x.Choices) != 1 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	if resp, text := ask("GET", "/", "", "Accept", "text/html"); resp.StatusCode != 200 || !strings.Contains(text, "<html") || resp.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("page: %d %.200s", resp.StatusCode, text)
	}
	if _, text := ask("GET", "/", ""); text != "SystemGemma is running\n" {
		t.Errorf("for programs: %.100s", text)
	}
	if resp, _ := ask("GET", "/readyz", "", "Host", "board.local"); resp.StatusCode != 200 { // from the environment
		t.Errorf("allowed host: %d", resp.StatusCode)
	}
	if resp, _ := ask("GET", "/readyz", "", "Host", "evil.example"); resp.StatusCode != 403 {
		t.Errorf("other host: %d", resp.StatusCode)
	}
	if status := s.end(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d: %s", status, s.log)
	}
	if text := s.log.String(); strings.Contains(text, "secret words") || strings.Contains(text, "horse") || !strings.Contains(text, `"endpoint":"POST /v1/chat/completions"`) {
		t.Errorf("log: %s", text)
	}
}

// The second signal ends what the first one waits for.
func TestServeTwoSignals(t *testing.T) {
	s := startServe(t, []string{"SYSTEMGEMMA_HOME=" + t.TempDir()}, "--grace", "1h", "--metrics-listen", "127.0.0.1:0")
	resp, err := http.Post(s.url+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"a","stream":true,"ignore_eos":true,"max_tokens":100000}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.signals <- os.Interrupt
	if status := s.end(t, os.Interrupt); status != 0 {
		t.Errorf("exit status %d: %s", status, s.log)
	}
}
