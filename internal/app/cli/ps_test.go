package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// ps tells what a server has open, says what to do where there is none or a key is wanted, and takes other addresses than the default.
func TestPs(t *testing.T) {
	s := startServe(t, []string{"SYSTEMGEMMA_HOME=" + t.TempDir()}, "--api-key", "me=correct-horse")
	ps := func(key string, args ...string) (status int, out, err string) {
		p := newProcess("")
		p.Getenv = func(name string) string { return map[string]string{"SYSTEMGEMMA_API_KEY": key}[name] }
		status = p.run(t, append([]string{"ps"}, args...)...)
		return status, p.out.String(), p.err.String()
	}
	r, err := http.NewRequest(http.MethodPost, s.url+"/v1/completions", strings.NewReader(`{"prompt":"a","max_tokens":1}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer correct-horse")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	at := strings.TrimPrefix(s.url, "http://")
	for _, key := range []string{"correct-horse", "me=correct-horse"} {
		if status, out, text := ps(key, "--server", at); status != 0 || !strings.Contains(out, "OPEN UNTIL") || !strings.Contains(out, "\nmini:latest") || !strings.Contains(out, "2048 tokens") {
			t.Errorf("status %d\n%s%s", status, out, text)
		}
	}
	status, out, text := ps("correct-horse", "--server", s.url, "--json")
	var all []loadedModel
	if err := json.Unmarshal([]byte(out), &all); status != 0 || err != nil || len(all) != 1 || all[0].Bytes <= 0 || all[0].Context != 2048 {
		t.Errorf("status %d, %v\n%s%s", status, err, out, text)
	}
	if status, _, text := ps("", "--server", at); status != 1 || !strings.Contains(text, "wants an API key (401): set SYSTEMGEMMA_API_KEY") {
		t.Errorf("without a key: status %d, %s", status, text)
	}
	if status := s.end(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d: %s", status, s.log)
	}
	if status, _, text := ps("", "--server", at); status != 1 || !strings.Contains(text, "no server answers at "+at) || !strings.Contains(text, "systemgemma serve starts one") {
		t.Errorf("without a server: status %d, %s", status, text)
	}
	for _, bad := range []string{"ftp://x", "http://", "http://a:b@c", "a b"} {
		if status, _, text := ps("", "--server", bad); status != 2 || !strings.Contains(text, "--server: want HOST:PORT") {
			t.Errorf("%s: status %d, %s", bad, status, text)
		}
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>\x1b[31m")) }))
	defer other.Close()
	if status, _, text := ps("", "--server", other.URL); status != 1 || !strings.Contains(text, "is no such server") || strings.Contains(text, "\x1b") {
		t.Errorf("something else: status %d, %q", status, text)
	}
}

// A server at a socket that has opened nothing says so.
func TestPsOfASocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("serve has no sockets there")
	}
	path := filepath.Join(t.TempDir(), "s")
	s := startServe(t, []string{"SYSTEMGEMMA_HOME=" + t.TempDir()}, "--listen", "unix:"+path)
	p := newProcess("")
	if status := p.run(t, "ps", "--server", "unix:"+path); status != 0 || !strings.Contains(p.out.String()+p.err.String(), "mini") && !strings.Contains(p.err.String(), "no model open") {
		t.Errorf("status %d: %s%s", status, p.out.String(), p.err.String())
	}
	if status := s.end(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d: %s", status, s.log)
	}
}
