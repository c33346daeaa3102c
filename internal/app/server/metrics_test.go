package server

import (
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// What Prometheus reads is well formed: a help and a type before each name, buckets that are sums and end at the count.
func TestMetrics(t *testing.T) {
	s, _ := newServer(t, Config{})
	for _, took := range []time.Duration{500 * time.Microsecond, time.Millisecond, 2 * time.Second, time.Hour} {
		s.metrics.request(`POST /x"y`, 200, took)
	}
	w := ask.Do(s, "GET", "/metrics", "")
	text := w.Body.String()
	for _, want := range []string{
		"# TYPE llamacpp:prompt_tokens_total counter\nllamacpp:prompt_tokens_total 0\n", "# TYPE llamacpp:requests_processing gauge\n", "\ngo_goroutines ",
		`systemgemma_http_requests_total{endpoint="POST /x\"y",status="200"} 4` + "\n", `systemgemma_http_request_seconds_bucket{endpoint="POST /x\"y",le="0.001"} 2` + "\n",
		`le="1.024"} 2` + "\n", `le="4.096"} 3` + "\n", `le="262.144"} 3` + "\n", `le="+Inf"} 4` + "\n", `_sum{endpoint="POST /x\"y"} 3602.0015` + "\n", `_count{endpoint="POST /x\"y"} 4` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	known := map[string]bool{}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			if known[name] {
				t.Errorf("%s comes twice", name)
			}
			known[name] = true
		} else if !strings.HasPrefix(line, "#") {
			name := line[:strings.IndexAny(line, "{ ")]
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, end)
			}
			if !known[name] {
				t.Errorf("%q has no type", line)
			}
		}
	}
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Error(got)
	}
}
