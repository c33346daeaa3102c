package server

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// metrics are what Prometheus reads, in its text format 0.0.4: llama.cpp's names, which dashboards know, and our own.
type metrics struct {
	values  []value
	unknown atomic.Int64

	mu       sync.Mutex
	requests map[outcome]int64     // guarded by mu
	seconds  map[string]*histogram // guarded by mu; by endpoint
}

// value is a number that is read when it is asked for.
type value struct {
	name, kind, help string
	read             func() float64
}

type outcome struct {
	endpoint string
	status   int
}

// bounds of the histogram's buckets, in seconds.
var bounds = []float64{0.001, 0.004, 0.016, 0.064, 0.256, 1.024, 4.096, 16.384, 65.536, 262.144}

type histogram struct {
	counts [11]int64 // by bucket, the last beyond all bounds; not summed
	sum    float64
}

func newMetrics(s *Server) *metrics {
	m := &metrics{requests: map[outcome]int64{}, seconds: map[string]*histogram{}}
	count := s.models.Meter()
	seconds := func(nanoseconds int64) float64 { return time.Duration(nanoseconds).Seconds() }
	rate := func(n, d float64) float64 {
		if d == 0 {
			return 0
		}
		return n / d
	}
	for _, x := range []struct {
		name, help string
		read       func() float64
	}{
		{"llamacpp:prompt_tokens_total", "Prompt tokens that were computed.", func() float64 { return float64(count.PromptTokens.Load()) }},
		{"llamacpp:prompt_seconds_total", "Time of computing prompts, summed over requests.", func() float64 { return seconds(count.PromptTime.Load()) }},
		{"llamacpp:tokens_predicted_total", "Tokens that were generated.", func() float64 { return float64(count.Tokens.Load()) }},
		{"llamacpp:tokens_predicted_seconds_total", "Time of generating, summed over requests.", func() float64 { return seconds(count.DecodeTime.Load()) }},
		{"systemgemma_prompt_tokens_cached_total", "Prompt tokens known from earlier requests.", func() float64 { return float64(count.CachedTokens.Load()) }},
		{"systemgemma_unknown_fields_total", "Members of requests that no option is called by.", func() float64 { return float64(m.unknown.Load()) }},
		{"systemgemma_answers_total", "Answers that ended.", func() float64 { return float64(count.Answers.Load()) }},
		{"systemgemma_cancelled_total", "Answers whose client left.", func() float64 { return float64(count.Cancelled.Load()) }},
		{"systemgemma_failed_total", "Answers that ended with an error.", func() float64 { return float64(count.Failed.Load()) }},
		{"systemgemma_drafted_tokens_total", "Tokens that were guessed.", func() float64 { return float64(count.DraftedTokens.Load()) }},
		{"systemgemma_accepted_tokens_total", "Guessed tokens that were right.", func() float64 { return float64(count.AcceptedTokens.Load()) }},
	} {
		m.values = append(m.values, value{x.name, "counter", x.help, x.read})
	}
	for _, x := range []struct {
		name, help string
		read       func() float64
	}{
		{"llamacpp:prompt_tokens_seconds", "Prompt tokens per second, of one request.", func() float64 {
			return rate(float64(count.PromptTokens.Load()), seconds(count.PromptTime.Load()))
		}},
		{"llamacpp:predicted_tokens_seconds", "Generated tokens per second, of one request.", func() float64 {
			return rate(float64(count.Tokens.Load()), seconds(count.DecodeTime.Load()))
		}},
		{"llamacpp:requests_processing", "Requests that work.", func() float64 { n, _ := s.gate.Load(); return float64(n) }},
		{"llamacpp:requests_deferred", "Requests that wait.", func() float64 { _, n := s.gate.Load(); return float64(n) }},
		{"llamacpp:kv_cache_usage_ratio", "Share of the memory of keys and values that running requests need.", s.kvUsage},
		{"systemgemma_kv_bytes", "Memory of keys and values.", func() float64 { x := s.kv(); return float64(x.KVBytes) }},
		{"go_goroutines", "Goroutines.", func() float64 { return float64(runtime.NumGoroutine()) }},
		{"process_start_time_seconds", "When the server was started, in seconds since 1970.", func() float64 { return float64(s.started.UnixMilli()) / 1000 }},
		{"systemgemma_models_open", "Models that are open.", func() float64 { return float64(len(s.models.Running())) }},
		{"systemgemma_models_bytes", "Memory that open models are reckoned with.", func() float64 { return float64(s.models.Used()) }},
		{"systemgemma_prefill_tokens_per_second", "Prompt tokens per second over ten seconds, all requests together.", func() float64 { x, _ := count.Rates(); return x }},
		{"systemgemma_decode_tokens_per_second", "Generated tokens per second over ten seconds, all requests together.", func() float64 { _, x := count.Rates(); return x }},
	} {
		m.values = append(m.values, value{x.name, "gauge", x.help, x.read})
	}
	if _, err := os.Stat("/proc/self/statm"); err == nil { // Linux
		m.values = append(m.values,
			value{"process_resident_memory_bytes", "gauge", "Memory of the process.", func() float64 {
				text, _ := os.ReadFile("/proc/self/statm")
				return float64(resident(string(text)))
			}},
			value{"process_open_fds", "gauge", "Open files and connections.", func() float64 {
				open, _ := os.ReadDir("/proc/self/fd")
				return float64(max(len(open)-1, 0)) // but for the one that lists them
			}})
	}
	return m
}

// request counts an ended request. Endpoints are patterns, so their number is bounded.
func (m *metrics) request(endpoint string, status int, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests[outcome{endpoint, status}]++
	h := m.seconds[endpoint]
	if h == nil {
		h = &histogram{}
		m.seconds[endpoint] = h
	}
	i, _ := slices.BinarySearch(bounds, took.Seconds())
	h.counts[i]++
	h.sum += took.Seconds()
}

// write tells everything.
func (m *metrics) write(w io.Writer) error {
	var b strings.Builder
	head := func(name, kind, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for _, v := range m.values {
		head(v.name, v.kind, v.help)
		fmt.Fprintf(&b, "%s %s\n", v.name, number(v.read()))
	}
	m.mu.Lock()
	const requests, seconds = "systemgemma_http_requests_total", "systemgemma_http_request_seconds"
	head(requests, "counter", "Requests, by endpoint and status.")
	for _, o := range slices.SortedFunc(maps.Keys(m.requests), func(a, b outcome) int { return cmp.Or(strings.Compare(a.endpoint, b.endpoint), a.status-b.status) }) {
		fmt.Fprintf(&b, "%s{endpoint=%q,status=\"%d\"} %d\n", requests, o.endpoint, o.status, m.requests[o])
	}
	head(seconds, "histogram", "Time of requests, streams to their end.")
	for _, e := range slices.Sorted(maps.Keys(m.seconds)) {
		h, n := m.seconds[e], int64(0)
		for i, bound := range bounds {
			n += h.counts[i]
			fmt.Fprintf(&b, "%s_bucket{endpoint=%q,le=%q} %d\n", seconds, e, number(bound), n)
		}
		n += h.counts[len(bounds)]
		fmt.Fprintf(&b, "%s_bucket{endpoint=%q,le=\"+Inf\"} %d\n%s_sum{endpoint=%q} %s\n%s_count{endpoint=%q} %d\n", seconds, e, n, seconds, e, number(h.sum), seconds, e, n)
	}
	m.mu.Unlock()
	_, err := io.WriteString(w, b.String())
	return err
}

// MetricsHandler serves the metrics, for a listener of their own.
func (s *Server) MetricsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = s.metrics.write(w) // the client has left
	})
}
