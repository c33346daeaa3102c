package server

import (
	"net/http"
	"time"

	"github.com/systemgemma/systemgemma"
)

// own are the endpoints of the server itself, whatever dialects there are.
func (s *Server) own() Dialect {
	routes := []Route{
		{Pattern: "GET /health", Open: true, Handle: s.health},
		{Pattern: "GET /v1/health", Open: true, Handle: s.health},
		{Pattern: "GET /readyz", Open: true, Handle: s.ready},
		{Pattern: "GET /version", Open: true, Handle: func(w http.ResponseWriter, _ *http.Request) error { return Reply(w, http.StatusOK, s.cfg.Version) }},
		{Pattern: "GET /status", Handle: s.status},
	}
	if !s.cfg.NoMetrics {
		routes = append(routes, Route{Pattern: "GET /metrics", Handle: func(w http.ResponseWriter, r *http.Request) error {
			s.MetricsHandler().ServeHTTP(w, r)
			return nil
		}})
	}
	return Dialect{Name: "systemgemma", Routes: routes, Error: WriteOpenAIError}
}

type health struct {
	Status string `json:"status"` // ok or stopping
}

// health says that the process lives.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	return Reply(w, http.StatusOK, health{"ok"})
}

// ready says whether new work is welcome. Models are opened when they are asked for, so a server is ready once it listens.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	if s.draining.Load() {
		w.Header().Set("Retry-After", "5")
		return Reply(w, http.StatusServiceUnavailable, health{"stopping"})
	}
	return Reply(w, http.StatusOK, health{"ok"})
}

// Status is what GET /status answers: what the server is doing.
type Status struct {
	Version  Version `json:"version"`
	Uptime   float64 `json:"uptime"` // seconds
	Draining bool    `json:"draining"`
	Requests struct {
		Running int `json:"running"`
		Queued  int `json:"queued"`
	} `json:"requests"`
	Tokens struct { // in all
		Prompt    int64 `json:"prompt"` // computed
		Cached    int64 `json:"cached"`
		Generated int64 `json:"generated"`
	} `json:"tokens"`
	Rates struct { // tokens per second over ten seconds, all requests together
		Prefill float64 `json:"prefill"`
		Decode  float64 `json:"decode"`
	} `json:"rates"`
	KV struct { // bytes, of all open models
		Used   int64 `json:"used"`
		Pinned int64 `json:"pinned"` // by running requests
		Limit  int64 `json:"limit"`  // 0: none
	} `json:"kv"`
	Models []ModelStatus `json:"models"` // that are open
	Memory struct {      // bytes; 0: not known
		Models    int64 `json:"models"` // that open models are reckoned with
		Limit     int64 `json:"limit"`  // for all models
		Process   int64 `json:"process"`
		Total     int64 `json:"total"`
		Available int64 `json:"available"`
	} `json:"memory"`
	CPU struct {
		Name    string    `json:"name,omitempty"`
		CPUs    int       `json:"cpus"`
		Threads int       `json:"threads"`
		Kernel  string    `json:"kernel"`
		Load    []float64 `json:"load,omitempty"` // of 1, 5, 15 minutes
		Busy    *float64  `json:"busy,omitempty"` // share of all processors since the last time that this was asked, 0 to 1
	} `json:"cpu"`
	Temperatures []Temperature `json:"temperatures"` // where the machine tells
}

// ModelStatus is one open model.
type ModelStatus struct {
	Name     string     `json:"name"`
	Bytes    int64      `json:"bytes"`
	Context  int        `json:"context"`
	Requests int        `json:"requests"`
	Opened   time.Time  `json:"opened"`
	Expires  *time.Time `json:"expires,omitempty"` // null: in use, or never
	Running  int        `json:"running"`           // sequences that are computed
	Waiting  int        `json:"waiting"`
	KVBytes  int64      `json:"kv_bytes"`
}

// Temperature is one sensor.
type Temperature struct {
	Name    string  `json:"name"`
	Celsius float64 `json:"celsius"`
}

// kv adds up the memory of keys and values.
func (s *Server) kv() (sum systemgemma.Load) {
	for _, m := range s.models.Running() {
		sum.KVBytes += m.Load.KVBytes
		sum.KVPinned += m.Load.KVPinned
		sum.KVLimit += m.Load.KVLimit
	}
	return sum
}

func (s *Server) kvUsage() float64 {
	if x := s.kv(); x.KVLimit > 0 {
		return float64(x.KVPinned) / float64(x.KVLimit)
	}
	return 0
}

// Now is the server's status.
func (s *Server) Now() *Status {
	x := &Status{Version: s.cfg.Version, Uptime: time.Since(s.started).Seconds(), Draining: s.draining.Load(), Models: []ModelStatus{}}
	x.Requests.Running, x.Requests.Queued = s.gate.Load()
	count := s.models.Meter()
	x.Tokens.Prompt, x.Tokens.Cached, x.Tokens.Generated = count.PromptTokens.Load(), count.CachedTokens.Load(), count.Tokens.Load()
	x.Rates.Prefill, x.Rates.Decode = count.Rates()
	for _, m := range s.models.Running() {
		ms := ModelStatus{
			Name: m.Name, Bytes: m.Bytes, Context: m.Context, Requests: m.Users, Opened: m.Opened.UTC(),
			Running: m.Load.Running, Waiting: m.Load.Waiting, KVBytes: m.Load.KVBytes,
		}
		if !m.Expires.IsZero() {
			at := m.Expires.UTC()
			ms.Expires = &at
		}
		x.Models = append(x.Models, ms)
		x.KV.Used += m.Load.KVBytes
		x.KV.Pinned += m.Load.KVPinned
		x.KV.Limit += m.Load.KVLimit
	}
	machine, _ := systemgemma.ThisMachine() // its error is about kernels, which opened models have
	x.Memory.Models, x.Memory.Limit = s.models.Used(), s.models.Limit()
	x.Memory.Total, x.Memory.Available = machine.MemoryTotal, machine.MemoryAvailable
	x.CPU.Name, x.CPU.CPUs, x.CPU.Threads, x.CPU.Kernel = machine.CPU, machine.CPUs, machine.Threads, machine.Kernel
	s.sensors.fill(x)
	return x
}

// status answers what the server is doing.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	return Reply(w, http.StatusOK, s.Now())
}
