// Package ollama is Ollama's dialect: chat, generate, embed, and the models of this machine by Ollama's names.
//
// It owns the forms of requests and answers. What options mean is package option's, how tools are offered package tools', who may ask
// and how answers are sent package server's, how models get here packages pull's and models'.
package ollama

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
)

// Version is the version of Ollama's API that is spoken here: clients refuse to work with old ones. Our own is at /version.
const Version = "0.12.11"

// Options are what the dialect needs beyond the server. The zero value is usable.
type Options struct {
	// Hub makes a client of the hub that is asked; its o has what tells of the way. nil: nothing is pulled from a hub, nor pushed to one.
	Hub func(o hub.Options) (*hub.Client, error)
	// Registry makes a client of the registry of a model. nil: models of registries are neither pulled nor pushed.
	Registry func(n names.OllamaName, o registry.Options) (*registry.Client, error)
}

// dialect answers for one server.
type dialect struct {
	Options
	server *server.Server
	now    func() time.Time
	moving chan struct{} // holds one for each pull and push that runs
}

// New makes the dialect for a server.
func New(s *server.Server, o Options) server.Dialect {
	d := &dialect{Options: o, server: s, now: time.Now, moving: make(chan struct{}, maxMoving)}
	if store, err := d.store(); err == nil {
		_, _ = store.ClearWork(context.Background()) // of a server that crashed; what stays does so until the next start
	}
	return server.Dialect{
		Name: "ollama", Prefixes: []string{"/api/"}, Error: writeError,
		Routes: []server.Route{
			{Pattern: "POST /api/chat", Work: true, Handle: d.chat},
			{Pattern: "POST /api/generate", Work: true, Handle: d.generate},
			{Pattern: "POST /api/embed", Work: true, Handle: d.embed},
			{Pattern: "POST /api/embeddings", Work: true, Handle: d.embeddings},
			{Pattern: "GET /api/tags", Handle: d.tags},
			{Pattern: "GET /api/ps", Handle: d.ps},
			{Pattern: "POST /api/show", Handle: d.show},
			{Pattern: "GET /api/version", Open: true, Handle: d.version},
			{Pattern: "POST /api/pull", Handle: d.pull},
			{Pattern: "POST /api/push", Handle: d.push},
			{Pattern: "POST /api/create", Handle: d.create},
			{Pattern: "POST /api/copy", Handle: d.copy},
			{Pattern: "DELETE /api/delete", Handle: d.delete},
			{Pattern: "HEAD /api/blobs/{digest}", Handle: d.hasBlob},
			{Pattern: "POST /api/blobs/{digest}", Binary: true, Handle: d.putBlob},
		},
	}
}

// failure is an error as Ollama's clients read it, also in streams.
type failure struct {
	Error string `json:"error"`
	Code  string `json:"code,omitempty"` // ours, for programs
}

func failed(e *problem.Error) failure {
	if e.Code == problem.CodeNoModel {
		return failure{"model not found: " + e.Message, e.Code} // clients look for these words
	}
	return failure{e.Message, e.Code}
}

func writeError(w http.ResponseWriter, e *problem.Error) {
	_ = server.Reply(w, e.Status, failed(e)) // the client has left, or the form can't fail
}

func (d *dialect) version(w http.ResponseWriter, _ *http.Request) error {
	return server.Reply(w, http.StatusOK, map[string]string{"version": Version})
}

// modelName takes the name of a model, which old clients call name.
func modelName(f *option.Fields) (string, error) {
	name, found, err := f.Text("model")
	if err != nil || found {
		f.Raw("name")
		return name, err
	}
	name, _, err = f.Text("name")
	return name, err
}

// wanted is modelName of a request that must have one.
func wanted(f *option.Fields) (string, error) {
	name, err := modelName(f)
	if err == nil && name == "" {
		err = f.Invalid("model", "want a model's name, found none")
	}
	return name, err
}

// keepAlive takes how long the model stays open: a duration, or seconds; below 0 for ever. nil: the server's own.
func keepAlive(f *option.Fields) (*time.Duration, error) {
	raw, found := f.Raw("keep_alive")
	if !found {
		return nil, nil
	}
	var text string
	isText := json.Unmarshal(raw, &text) == nil
	if !isText {
		text = string(raw)
	}
	if isText {
		if d, err := time.ParseDuration(text); err == nil {
			return &d, nil
		}
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || text == "true" {
		return nil, f.Invalid("keep_alive", `want a duration as "5m", or seconds; found %.40s`, raw)
	}
	d := time.Duration(min(seconds, math.MaxInt64/2e9) * float64(time.Second))
	if seconds < 0 {
		d = -1
	}
	return &d, nil
}

// request is what chat and generate have in common.
type request struct {
	talk.Request // without a lease, if the model was to be closed
	name         string
	start        time.Time
	stream       bool
	logprobs     bool
	keep         *time.Duration
}

// maxTop is how many of the best tokens a request may ask for.
const maxTop = 20

// begin takes the model and all options from a request. The lease is the caller's to release. A request that is empty, and wants that the
// model is kept no longer, closes it: it gets no lease.
func (d *dialect) begin(r *http.Request, f *option.Fields, empty bool) (*request, error) {
	q := &request{start: d.now()}
	name, err := wanted(f)
	if err != nil {
		return nil, err
	}
	q.name = name
	if q.keep, err = keepAlive(f); err != nil {
		return nil, err
	}
	stream, given, err := f.Bool("stream")
	if err != nil {
		return nil, err
	}
	q.stream = stream || !given
	if q.logprobs, _, err = f.Bool("logprobs"); err != nil {
		return nil, err
	}
	top, _, err := f.Int("top_logprobs", 0, maxTop)
	if err != nil {
		return nil, err
	}
	if top > 0 && !q.logprobs {
		return nil, f.Invalid("top_logprobs", "want logprobs: true beside it")
	}
	if empty && q.keep != nil && *q.keep == 0 {
		return q, d.server.Models().Unload(name)
	}
	lease, err := d.server.Models().Acquire(r.Context(), name, q.keep)
	if err != nil {
		return nil, err
	}
	q.Request = *talk.New(lease)
	if err := q.read(r, f, top); err != nil {
		q.Lease.Release()
		return nil, err
	}
	return q, nil
}

// read takes the options: those of the object options, and those that stand beside it.
func (q *request) read(r *http.Request, f *option.Fields, top int) error {
	options, err := f.Object("options")
	if err != nil {
		return err
	}
	if err := q.Read(option.Ollama, 1, f, options); err != nil {
		return err
	}
	if options != nil {
		server.Unknown(r, options)
	}
	if q.Want.MaxTokensGiven && q.Want.MaxTokens == 0 {
		q.Want.MaxTokens = q.Lease.Model.ContextLength() // Ollama's 0 is no limit
	}
	q.Want.TopLogprobs = top
	return nil
}

// metrics are what an answer took.
type metrics struct {
	Total          time.Duration `json:"total_duration,omitempty"` // nanoseconds, as all of them
	Load           time.Duration `json:"load_duration,omitempty"`
	PromptCount    int           `json:"prompt_eval_count,omitempty"`
	PromptDuration time.Duration `json:"prompt_eval_duration,omitempty"`
	Count          int           `json:"eval_count,omitempty"`
	Duration       time.Duration `json:"eval_duration,omitempty"`
}

func (q *request) metrics(now time.Time, r *systemgemma.Result) metrics {
	return metrics{now.Sub(q.start), q.Lease.Loading, len(r.PromptIDs), r.Prefill, len(r.IDs), r.Decode}
}

// extension is what an answer tells beyond Ollama's form.
type extension struct {
	SystemMode      string   `json:"system_mode,omitempty"`
	Seed            uint64   `json:"seed,omitempty"` // that sampling used
	Ignored         []string `json:"ignored,omitempty"`
	Warnings        []string `json:"warnings,omitempty"`
	DroppedMessages int      `json:"dropped_messages,omitempty"`
	CachedTokens    int      `json:"cached_tokens,omitempty"`
	Cut             bool     `json:"cut,omitempty"` // the answer lacks a part of its format
}

// reason is Ollama's name of why an answer ended.
func reason(r *systemgemma.Result) string {
	if r.FinishReason == systemgemma.FinishStop {
		return "stop"
	}
	return "length"
}
