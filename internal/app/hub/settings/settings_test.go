package settings

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func from(env map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := env[k]; return v, ok }
}

// What can't be used is named, and a token's text is in no message.
func TestFromEnvRefuses(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, "token")
	if err := os.WriteFile(file, []byte("hf_secret\nhf_other"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, env := range []map[string]string{
		{"HF_HUB_ETAG_TIMEOUT": "soon"}, {"HF_HUB_DOWNLOAD_TIMEOUT": "-1"}, {"HF_TOKEN": "hf_secret\r\nX: y"}, {"HF_TOKEN_PATH": file},
		{"HF_TOKEN_PATH": home},
	} {
		_, err := FromEnv(from(env), home)
		if err == nil || strings.Contains(err.Error(), "hf_secret") {
			t.Errorf("FromEnv(%v): %v, want an error without the token", env, err)
		}
	}
}

func TestProxies(t *testing.T) {
	for _, c := range []struct{ http, https, all, no, url, want string }{
		{"proxy:1", "", "", "", "http://hub.test/x", "http://proxy:1"},
		{"proxy:1", "", "", "", "https://hub.test/x", ""},
		{"", "http://p:2", "", "", "https://hub.test/x", "http://p:2"},
		{"", "", "socks5://p:3", "", "https://hub.test/x", "socks5://p:3"},
		{"p:1", "p:1", "", "hub.test", "https://cdn.hub.test/x", ""},
		{"p:1", "p:1", "", ".hub.test", "https://cdn.hub.test/x", ""},
		{"p:1", "p:1", "", "hub.test", "https://nothub.test/x", "http://p:1"},
		{"p:1", "p:1", "", "hub.test:8080", "https://hub.test/x", "http://p:1"},
		{"p:1", "p:1", "", "10.0.0.0/8, x", "http://10.1.2.3/x", ""},
		{"p:1", "p:1", "", "*", "http://hub.test/x", ""},
		{"p:1", "p:1", "", "", "http://127.0.0.1:99/x", ""},
		{"ftp://p:1", "", "", "", "http://hub.test/x", "error"},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := proxies(from(map[string]string{"HTTP_PROXY": c.http, "https_proxy": c.https, "ALL_PROXY": c.all, "NO_PROXY": c.no})).For(u)
		s := ""
		if got != nil {
			s = got.String()
		}
		if err != nil {
			s = "error"
		}
		if s != c.want {
			t.Errorf("%+v: got %q (%v)", c, s, err)
		}
	}
}
