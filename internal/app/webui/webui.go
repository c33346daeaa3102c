// Package webui is the page that people talk to a model with: the files under page, embedded, and a handler that serves them.
//
// The page asks nothing of another host and runs no script but its own files; the headers here make a browser hold it to that.
// It speaks to the server that it came from, by the paths of the public API. This package must not know models or that API.
package webui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed page
var files embed.FS

// policy lets a page use files of its own host, and nothing else: no inline script or style, no image or connection elsewhere,
// no frame. HTML may come from one place only, the sanitizer (vendor/purify.min.js).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify"

// asset is one file as it is sent.
type asset struct {
	contentType string
	cache       string // Cache-Control
	tag         string // ETag of the plain bytes
	plain, gzip []byte // gzip is nil where it isn't smaller
}

// assets are all files by the path they are served at. Those under /ui/ have the hash of all of them in their path, so that a browser
// may keep them for ever and never mixes two versions; the index names that path and is asked for anew each time.
var assets = sync.OnceValue(func() map[string]*asset {
	all := sha256.New()
	content := map[string][]byte{}
	var modules []string // in the order of their names
	err := fs.WalkDir(files, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(name)
		name = strings.TrimPrefix(name, "page/")
		content[name] = data
		fmt.Fprintf(all, "%s %d\n%s", name, len(data), data)
		if strings.HasPrefix(name, "js/") && name != "js/theme.js" || strings.HasPrefix(name, "vendor/") && strings.HasSuffix(name, ".js") {
			modules = append(modules, name)
		}
		return err
	})
	if err != nil {
		panic("webui: " + err.Error()) // embedded files can be read
	}
	base := "ui/" + hex.EncodeToString(all.Sum(nil)[:8]) + "/"
	result := map[string]*asset{}
	for name, data := range content {
		if name == "index.html" {
			result["/"] = newAsset(name, index(data, base, modules), "no-cache")
			continue
		}
		result["/"+base+name] = newAsset(name, data, "public, max-age=31536000, immutable")
	}
	return result
})

// index puts the folder of the files into the page, and names all modules, so that a browser asks for them at once.
func index(page []byte, base string, modules []string) []byte {
	var preload strings.Builder
	for _, m := range modules {
		fmt.Fprintf(&preload, "<link rel=\"modulepreload\" href=\"%s%s\">\n", base, m)
	}
	page = bytes.ReplaceAll(page, []byte("<!-- modules -->\n"), []byte(preload.String()))
	return bytes.ReplaceAll(page, []byte("BASE/"), []byte(base))
}

func newAsset(name string, data []byte, cache string) *asset {
	types := map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
		".svg": "image/svg+xml", ".LICENSE": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8",
	}
	sum := sha256.Sum256(data)
	a := &asset{contentType: types[path.Ext(name)], cache: cache, tag: hex.EncodeToString(sum[:12]), plain: data}
	if a.contentType == "" {
		panic("webui: no content type for " + name)
	}
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, err := z.Write(data)
	if err == nil && z.Close() == nil && b.Len() < len(data) {
		a.gzip = b.Bytes()
	}
	return a
}

// Handler serves the page at / and its files below /ui/. Anything else is 404, other methods than GET and HEAD are 405.
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	a := assets()[r.URL.Path]
	switch {
	case a == nil:
		http.Error(w, "not found: want / or a file that it names", http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "want GET or HEAD, found "+strconv.Quote(r.Method), http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", a.cache)
	h.Set("Vary", "Accept-Encoding")
	body, tag := a.plain, `"`+a.tag+`"`
	if a.gzip != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body, tag = a.gzip, `"`+a.tag+`-gzip"`
	}
	h.Set("ETag", tag)
	if matches(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // a client that left wants no error
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3): gzip by name or by *, with a weight above 0.
func acceptsGzip(header string) bool {
	accepts := false
	for part := range strings.SplitSeq(header, ",") {
		coding, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding != "gzip" && coding != "*" {
			continue
		}
		key, weight, found := strings.Cut(parameters, "=")
		q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		ok := !found || strings.ToLower(strings.TrimSpace(key)) == "q" && err == nil && q > 0
		if coding == "gzip" {
			return ok
		}
		accepts = ok
	}
	return accepts
}

// matches reads If-None-Match (RFC 9110, section 13.1.2), which compares weakly.
func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimPrefix(strings.TrimSpace(part), "W/"); part == "*" || part == tag {
			return true
		}
	}
	return false
}
