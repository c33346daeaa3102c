package native

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/anthropic"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/ollama"
	"github.com/systemgemma/systemgemma/internal/app/server/openai"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

var methods = []string{"get", "post", "put", "patch", "delete", "head"}

// described are the methods and paths of the document, which has its paths, and their methods, in lines of their own.
func described(t *testing.T, document string) map[string]string {
	t.Helper()
	_, rest, found := strings.Cut(document, "\npaths:\n")
	paths, _, ended := strings.Cut(rest, "\ncomponents:\n")
	if !found || !ended {
		t.Fatal("want paths, and components after them")
	}
	list, path, anchors := map[string]string{}, "", map[string][]string{}
	pathLine := regexp.MustCompile(`^  (/\S*):(?: ([&*])(\w+))?$`)
	methodLine := regexp.MustCompile(`^    (\w+):$`)
	anchor := ""
	for line := range strings.SplitSeq(paths, "\n") {
		if m := pathLine.FindStringSubmatch(line); m != nil {
			path, anchor = m[1], ""
			switch m[2] {
			case "&":
				anchor = m[3]
			case "*":
				if anchors[m[3]] == nil {
					t.Errorf("%s: %s is not known", path, m[3])
				}
				for _, method := range anchors[m[3]] {
					list[method+" "+path] = path
				}
			}
			continue
		}
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
			t.Errorf("line %q: want a path", line)
		}
		if m := methodLine.FindStringSubmatch(line); m != nil && m[1] != "parameters" {
			if !slices.Contains(methods, m[1]) {
				t.Errorf("%s: method %s is not known", path, m[1])
			}
			method := strings.ToUpper(m[1])
			list[method+" "+path] = path
			if anchor != "" {
				anchors[anchor] = append(anchors[anchor], method)
			}
		}
	}
	return list
}

// The document has every endpoint of the server, and no other; each that it has is answered by one.
func TestOpenAPI(t *testing.T) {
	set, err := hosted.New(hosted.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.Background()) })
	s := server.New(set, server.Config{Compat: true})
	s.Add(openai.New(s))
	s.Add(anthropic.New(s))
	s.Add(ollama.New(s, ollama.Options{}))
	s.Add(New(s, Options{}))
	w := ask.Do(s, http.MethodGet, "/openapi.yaml", "")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "openapi: 3.1.0\n") {
		t.Fatalf("%d %.100s", w.Code, w.Body)
	}
	doc := described(t, w.Body.String())
	routes := map[string]bool{}
	for _, r := range s.Routes() {
		at := strings.ReplaceAll(r.Pattern, "...}", "}")
		routes[at] = true
		if doc[at] == "" {
			t.Errorf("the document lacks %s", at)
		}
	}
	for at, path := range doc {
		if !routes[at] {
			t.Errorf("the document has %s, the server doesn't", at)
			continue
		}
		method, _, _ := strings.Cut(at, " ")
		path = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "x")
		if w := ask.Do(s, method, path, "{}"); w.Code == http.StatusMethodNotAllowed || w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Errorf("%s: %d %s", at, w.Code, w.Body)
		}
	}
	if len(doc) < 40 {
		t.Errorf("%d endpoints, want 40", len(doc))
	}
	for _, m := range regexp.MustCompile(`#/components/(\w+)/(\w+)`).FindAllStringSubmatch(w.Body.String(), -1) {
		_, part, _ := strings.Cut(w.Body.String(), "\n  "+m[1]+":\n")
		if !regexp.MustCompile(`(?m)^    ` + m[2] + `:`).MatchString(part) {
			t.Errorf("%s is nowhere", m[0])
		}
	}
}
