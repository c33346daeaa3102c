package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// get asks the handler for a path, with headers given as "Name: value".
func get(t *testing.T, method, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names are the embedded files.
func names(t *testing.T) (list []string) {
	t.Helper()
	err := fs.WalkDir(files, "page", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, strings.TrimPrefix(name, "page/"))
		}
		return err
	})
	if err != nil || len(list) < 20 {
		t.Fatalf("%d files, %v; want the page", len(list), err)
	}
	return list
}

var reference = regexp.MustCompile(`(?:href|src)="([^"#]+)"`)

// Everything that the page names is there, with its type, and may be kept for ever; the page itself may not.
func TestThePageAndWhatItNames(t *testing.T) {
	index := get(t, "GET", "/")
	page := string(body(t, index))
	if index.StatusCode != 200 || index.Header.Get("Content-Type") != "text/html; charset=utf-8" || index.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("GET /: %s, %v", index.Status, index.Header)
	}
	named := map[string]bool{}
	for _, m := range reference.FindAllStringSubmatch(page, -1) {
		r := get(t, "GET", "/"+m[1])
		named[path.Base(m[1])] = true
		if r.StatusCode != 200 || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") || len(body(t, r)) == 0 {
			t.Errorf("%s: %s, %v", m[1], r.Status, r.Header)
		}
	}
	for _, n := range names(t) {
		if ext := path.Ext(n); (ext == ".js" || ext == ".css") && !named[path.Base(n)] {
			t.Errorf("the page does not name %s: a browser would ask for it late, or never", n)
		}
	}
}

// Each answer carries the headers that keep a browser to this host and to files, also one that is an error.
func TestHeaders(t *testing.T) {
	for _, target := range []string{"/", "/ui/nothing"} {
		h := get(t, "GET", target).Header
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
			if !slices.Contains(strings.Split(csp, "; "), want) {
				t.Errorf("%s: CSP %q lacks %q", target, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, "data:") {
			t.Errorf("%s: CSP %q allows too much", target, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", target, name, got, want)
			}
		}
		if got := h.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: other hosts are allowed: %q", target, got)
		}
	}
}

// Only what is there is served, by GET and HEAD.
func TestOtherPathsAndMethods(t *testing.T) {
	for _, target := range []string{"/index.html", "/ui/", "/ui/../webui.go", "/js/main.js", "/v1/models", "/%2e%2e/webui.go", "//"} {
		if r := get(t, "GET", target); r.StatusCode != 404 {
			t.Errorf("GET %s: %s, want 404", target, r.Status)
		}
	}
	if r := get(t, "POST", "/"); r.StatusCode != 405 || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /: %s, Allow %q", r.Status, r.Header.Get("Allow"))
	}
	if r := get(t, "HEAD", "/"); r.StatusCode != 200 || len(body(t, r)) != 0 || r.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD /: %s, %v", r.Status, r.Header)
	}
}

// A browser that has a file is told so; plain and compressed forms are told apart, and hold the same.
func TestTagsAndCompression(t *testing.T) {
	plain, packed := get(t, "GET", "/"), get(t, "GET", "/", "Accept-Encoding: br, gzip")
	if packed.Header.Get("Content-Encoding") != "gzip" || plain.Header.Get("Content-Encoding") != "" {
		t.Fatalf("encodings %q and %q", plain.Header.Get("Content-Encoding"), packed.Header.Get("Content-Encoding"))
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(inside, body(t, plain)) {
		t.Errorf("the compressed page holds something else (%v)", err)
	}
	for _, r := range []*http.Response{plain, packed} {
		if r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Vary: %q", r.Header.Get("Vary"))
		}
	}
	tag := packed.Header.Get("ETag")
	if tag == "" || tag == plain.Header.Get("ETag") {
		t.Fatalf("tags %q and %q: want two", plain.Header.Get("ETag"), tag)
	}
	for header, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, plain.Header.Get("ETag"): 200} {
		r := get(t, "GET", "/", "Accept-Encoding: gzip", "If-None-Match: "+header)
		if b := body(t, r); r.StatusCode != want || want == 304 && len(b) > 0 {
			t.Errorf("If-None-Match %s: %s, %d bytes; want %d", header, r.Status, len(b), want)
		}
	}
	for header, want := range map[string]bool{"": false, "gzip": true, "GZIP;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0, *": false, "*": true, "*;q=0": false, "br": false, "deflate, gzip;q=1.0, *;q=0.5": true, "gzip;x": true, "gzip;q=a": false} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("Accept-Encoding %q: gzip %v, want %v", header, got, want)
		}
	}
}

// The first visit costs little: all that the page names, compressed.
func TestSize(t *testing.T) {
	total, plain, requests := 0, 0, 0
	page := string(body(t, get(t, "GET", "/")))
	targets := map[string]bool{"": true}
	for _, m := range reference.FindAllStringSubmatch(page, -1) {
		targets[m[1]] = true
	}
	for target := range targets {
		total += len(body(t, get(t, "GET", "/"+target, "Accept-Encoding: gzip")))
		plain += len(body(t, get(t, "GET", "/"+target)))
		requests++
	}
	t.Logf("first visit: %d requests, %d bytes compressed, %d plain", requests, total, plain)
	if total > 100_000 || plain > 300_000 {
		t.Errorf("first visit: %d bytes compressed, %d plain; want at most 100,000 and 300,000", total, plain)
	}
}

// addresses of other hosts that are names of things, not places to ask: XML namespaces, and the homes of vendored files.
var harmless = []string{"http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML", "http://www.w3.org/1999/xhtml", "https://github.com/markedjs/marked", "https://github.com/babel/babel/"}

// No file of the page names another host, and our own have neither scripts nor styles inside HTML, nor ways from text to HTML or code.
func TestNothingFromElsewhere(t *testing.T) {
	address := regexp.MustCompile(`(?:https?:)?//[a-zA-Z0-9][\w.-]*\.[a-z]{2,}[^\s"'` + "`" + `)]*`)
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("(on|style)|javascript:|<style|style="|<script(?: type="module")?>| on\w+="`)
	for _, n := range names(t) {
		data, err := files.ReadFile("page/" + n)
		if err != nil {
			t.Fatal(err)
		}
		if path.Ext(n) == ".LICENSE" || path.Ext(n) == ".md" {
			continue
		}
		for _, a := range address.FindAllString(string(data), -1) {
			if !slices.ContainsFunc(harmless, func(h string) bool { return strings.HasPrefix(a, h) }) {
				t.Errorf("%s names another host: %.80s", n, a)
			}
		}
		if strings.HasPrefix(n, "vendor/") {
			continue
		}
		if found := forbidden.Find(data); found != nil {
			t.Errorf("%s has %q", n, found)
		}
	}
}

// Files of others are those that vendor/README.md lists, byte for byte, each with its licence.
func TestVendoredFiles(t *testing.T) {
	readme, err := files.ReadFile("page/vendor/README.md")
	if err != nil {
		t.Fatal(err)
	}
	list, err := fs.Glob(files, "page/vendor/*.js")
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v; want two files", list, err)
	}
	for _, n := range list {
		data, err := files.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if want := hex.EncodeToString(sum[:]); !strings.Contains(string(readme), want) {
			t.Errorf("%s: vendor/README.md does not list SHA-256 %s", n, want)
		}
		licence := "page/vendor/" + strings.SplitN(path.Base(n), ".", 2)[0] + ".LICENSE"
		if data, err := files.ReadFile(licence); err != nil || len(data) < 500 {
			t.Errorf("%s: %v, %d bytes; want a licence", licence, err, len(data))
		}
	}
}

// Our scripts are small files that a JavaScript engine can read, and import only files that are there.
func TestModules(t *testing.T) {
	imports := regexp.MustCompile(`(?m)^(?:import|export) (?:[^"]* from )?"([^"]+)"`)
	sources := map[string]string{}
	for _, n := range names(t) {
		if !strings.HasPrefix(n, "js/") {
			continue
		}
		data, err := files.ReadFile("page/" + n)
		if err != nil {
			t.Fatal(err)
		}
		sources[n] = string(data)
		if lines := bytes.Count(data, []byte("\n")); lines > 300 {
			t.Errorf("%s: %d lines, want at most 300", n, lines)
		}
		for _, m := range imports.FindAllSubmatch(data, -1) {
			if _, err := files.Open(path.Join("page/js", string(m[1]))); err != nil {
				t.Errorf("%s imports %s: %v", n, m[1], err)
			}
		}
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node here: tests/browser is what reads the scripts")
	}
	const read = `const vm = require("node:vm"); let n = 0
for (const [name, source] of Object.entries(JSON.parse(require("node:fs").readFileSync(0, "utf8")))) {
	try { new vm.SourceTextModule(source); n++ } catch (e) { console.log(name + ": " + e) }
}
console.log(n + " read")`
	input, err := json.Marshal(sources)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(node, "--no-warnings", "--experimental-vm-modules", "--eval", read)
	c.Stdin = bytes.NewReader(input)
	out, err := c.CombinedOutput()
	if want := fmt.Sprintf("%d read\n", len(sources)); err != nil || string(out) != want {
		t.Errorf("node: %v\n%swant %s", err, out, want)
	}
}
