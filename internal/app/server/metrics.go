package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what Prometheus reads: llama.cpp's names, which dashboards know, and our own. Their registry is the server's own.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	unknown  prometheus.Counter
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "systemgemma_http_requests_total", Help: "Requests, by endpoint and status."}, []string{"endpoint", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "systemgemma_http_request_seconds", Help: "Time of requests, streams to their end.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"endpoint"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{Name: "systemgemma_unknown_fields_total", Help: "Members of requests that no option is called by."}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.unknown, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
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
		{"systemgemma_answers_total", "Answers that ended.", func() float64 { return float64(count.Answers.Load()) }},
		{"systemgemma_cancelled_total", "Answers whose client left.", func() float64 { return float64(count.Cancelled.Load()) }},
		{"systemgemma_failed_total", "Answers that ended with an error.", func() float64 { return float64(count.Failed.Load()) }},
		{"systemgemma_drafted_tokens_total", "Tokens that were guessed.", func() float64 { return float64(count.DraftedTokens.Load()) }},
		{"systemgemma_accepted_tokens_total", "Guessed tokens that were right.", func() float64 { return float64(count.AcceptedTokens.Load()) }},
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: x.name, Help: x.help}, x.read))
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
		{"systemgemma_models_open", "Models that are open.", func() float64 { return float64(len(s.models.Running())) }},
		{"systemgemma_models_bytes", "Memory that open models are reckoned with.", func() float64 { return float64(s.models.Used()) }},
		{"systemgemma_prefill_tokens_per_second", "Prompt tokens per second over ten seconds, all requests together.", func() float64 { x, _ := count.Rates(); return x }},
		{"systemgemma_decode_tokens_per_second", "Generated tokens per second over ten seconds, all requests together.", func() float64 { _, x := count.Rates(); return x }},
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: x.name, Help: x.help}, x.read))
	}
	return m
}

func (m *metrics) request(endpoint string, status int, took time.Duration) {
	m.requests.WithLabelValues(endpoint, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(endpoint).Observe(took.Seconds())
}

// MetricsHandler serves the metrics, for a listener of their own.
func (s *Server) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{})
}
