package server

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

type templated struct {
	ID     string  `json:"id"`
	Text   *string `json:"text"`
	N      int     `json:"n,omitempty"`
	Second struct {
		More string `json:"more"`
		Not  *int   `json:"not"`
	} `json:"second"`
}

// templatedOf has a name that looks like what it is not.
func templatedOf(texts []string) any {
	x := templated{ID: `"text":"", <x> ` + "\u2028", Text: &texts[0]}
	x.Second.More = texts[1]
	return x
}

// Whatever the texts, a template makes what Marshal makes.
func FuzzTemplate(f *testing.F) {
	t, err := NewTemplate(2, templatedOf)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "a", `"\`, "\x00\b\f\n\r\t\x1f\x7f", "<&>", "\u2027\u2028\u2029\u202a", "a\xffb\xc3", "\U0001f600 ü", "\ufffd", "\xed\xa0\x80"} {
		f.Add(s, "x"+s)
	}
	f.Fuzz(func(tt *testing.T, one, two string) {
		want, err := Marshal(templatedOf([]string{one, two}))
		if err != nil {
			tt.Fatal(err)
		}
		if got := t.append([]byte("before"), one, two); string(got) != "before"+string(want) {
			tt.Errorf("%q, %q:\n got %s\nwant %s", one, two, got, want)
		}
	})
}

// A value whose texts are left out, come twice or in another order has no template.
func TestNoTemplate(t *testing.T) {
	for what, of := range map[string]func([]string) any{
		"left out": func(s []string) any {
			return struct {
				A string `json:",omitempty"`
				B string
			}{s[0], s[1]}
		},
		"twice":         func(s []string) any { return []string{s[0], s[0], s[1]} },
		"another order": func(s []string) any { return []string{s[1], s[0]} },
		"nowhere":       func(s []string) any { return s[1:] },
		"changed":       func(s []string) any { return []string{strings.ToUpper(s[0]), s[1]} },
		"no JSON":       func(s []string) any { return []any{s[0], s[1], func() {}} },
	} {
		if x, err := NewTemplate(2, of); err == nil {
			t.Errorf("%s: %s", what, bytes.Join(x.parts, []byte("…")))
		}
	}
}

// A piece of a stream takes no memory of its own.
func TestTemplateAllocates(t *testing.T) {
	x, err := NewTemplate(2, templatedOf)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 0, 1<<10)
	if n := testing.AllocsPerRun(100, func() { b = x.append(b[:0], "some text", "more\n") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// nowhere is an answer that nobody reads.
type nowhere struct{ header http.Header }

func (w nowhere) Header() http.Header              { return w.header }
func (w nowhere) Write(p []byte) (int, error)      { return len(p), nil }
func (w nowhere) WriteHeader(int)                  {}
func (w nowhere) Flush()                           {}
func (w nowhere) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkPieces is what a piece of a stream takes before it reaches the socket: as JSON of a value, and by a template.
func BenchmarkPieces(b *testing.B) {
	s, _ := newServer(b, Config{})
	x, err := NewTemplate(2, templatedOf)
	if err != nil {
		b.Fatal(err)
	}
	for name, send := range map[string]func(*Stream) error{
		"value":    func(out *Stream) error { return out.Send(templatedOf([]string{" token", "more"})) },
		"template": func(out *Stream) error { return out.SendText(x, " token", "more") },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			s.Add(Dialect{Name: name, Prefixes: []string{"/" + name}, Error: WriteOpenAIError, Routes: []Route{{Pattern: "GET /" + name, Handle: func(w http.ResponseWriter, r *http.Request) error {
				out := NewEvents(w, r)
				defer out.Close()
				for b.Loop() {
					if err := send(out); err != nil {
						b.Fatal(err)
					}
				}
				return nil
			}}}})
			r := httptest.NewRequest("GET", "/"+name, nil)
			r.Host = "localhost"
			s.Handler().ServeHTTP(nowhere{http.Header{}}, r)
		})
	}
}
