// Package openai is OpenAI's dialect: chat completions, completions with the log probabilities that evaluation harnesses read,
// responses, embeddings, models.
//
// It owns the forms of requests and answers. What options mean is package option's, how tools are offered package tools', who may ask
// and how answers are sent package server's.
package openai

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// dialect answers for one server.
type dialect struct {
	server *server.Server
	store  *store
	now    func() time.Time
}

// New makes the dialect for a server.
func New(s *server.Server) server.Dialect {
	d := &dialect{server: s, store: newStore(), now: time.Now}
	routes := []server.Route{
		{Pattern: "POST /v1/chat/completions", Work: true, Handle: d.chat},
		{Pattern: "POST /v1/completions", Work: true, Handle: d.completions},
		{Pattern: "POST /v1/responses", Work: true, Handle: d.responses},
		{Pattern: "POST /v1/responses/input_tokens", Handle: d.inputTokens},
		{Pattern: "GET /v1/responses/{id}", Handle: d.getResponse},
		{Pattern: "DELETE /v1/responses/{id}", Handle: d.deleteResponse},
		{Pattern: "POST /v1/embeddings", Work: true, Handle: d.embeddings},
		{Pattern: "GET /v1/models", Handle: d.listModels},
		{Pattern: "GET /v1/models/{id...}", Handle: d.getModel},
	}
	if s.Config().Compat {
		routes = append(routes, server.Route{Pattern: "GET /tokenizer_info", Handle: d.tokenizerInfo})
	}
	return server.Dialect{Name: "openai", Prefixes: []string{"/v1/"}, Routes: routes, Error: server.WriteOpenAIError}
}

// prepared is a request whose model is open and whose options are read.
type prepared struct {
	lease   *hosted.Lease
	a       *option.Answer
	id      string
	created int64
	print   string         // fingerprint
	stop    map[int32]bool // end tokens
}

// prepare takes the model and all options from a request. The lease is the caller's to release.
func (d *dialect) prepare(r *http.Request, f *option.Fields, prefix string) (*prepared, error) {
	name, _, err := f.Text("model")
	if err != nil {
		return nil, err
	}
	lease, err := d.server.Models().Acquire(r.Context(), name, nil)
	if err != nil {
		return nil, err
	}
	p := &prepared{lease: lease, print: fingerprint(lease), a: option.From(lease.Defaults()), id: prefix + rand.Text(), created: d.now().Unix(), stop: map[int32]bool{}}
	if err := p.read(f, d.server.Config().MaxN); err != nil {
		lease.Release()
		return nil, err
	}
	return p, nil
}

func (p *prepared) read(f *option.Fields, maxN int) error {
	if err := p.a.Read(f, option.OpenAI, option.Limits{N: maxN, Context: p.lease.Model.ContextLength()}); err != nil {
		return err
	}
	if err := p.a.Check(); err != nil {
		return err
	}
	for _, id := range p.lease.Info.EOS {
		p.stop[id] = !p.a.IgnoreEOS
	}
	for _, id := range p.a.StopIDs {
		p.stop[id] = true
	}
	if n := max(p.a.N, p.a.BestOf); n > 1 && p.a.Sampling.Seed == 0 {
		p.a.Sampling.Seed = drawSeed()
	}
	var err error
	p.a.Adapters, err = p.lease.Use(p.a.LoRA)
	return err
}

// drawSeed draws a seed for several answers, which count on from it.
func drawSeed() uint64 {
	b := sha256.Sum256([]byte(rand.Text()))
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | 1<<48
}

// options are those of answer i.
func (p *prepared) options(i int) systemgemma.GenerateOptions {
	o, s := p.a.GenerateOptions, *p.a.Sampling
	if o.Sampling = &s; s.Seed != 0 {
		s.Seed += uint64(i)
	}
	return o
}

// fingerprint tells apart what gives other answers to the same request: models, and how they are computed.
func fingerprint(l *hosted.Lease) string {
	i := &l.Info
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", i.Name, i.Bytes, i.Parameters))
	return fmt.Sprintf("sg_%x", sum[:5])
}

// mode is the system mode of an answer.
func (p *prepared) mode() string {
	if p.a.SystemMode != "" && p.a.SystemMode != "auto" {
		return p.a.SystemMode
	}
	return p.lease.Info.SystemMode
}

// extension is what an answer tells beyond OpenAI's form.
type extension struct {
	SystemMode      string   `json:"system_mode,omitempty"`
	Seed            uint64   `json:"seed,omitempty"` // that sampling used
	Ignored         []string `json:"ignored,omitempty"`
	Warnings        []string `json:"warnings,omitempty"`
	DroppedMessages int      `json:"dropped_messages,omitempty"`
	Cut             bool     `json:"cut,omitempty"`       // the answer lacks a part of its format
	StopText        string   `json:"stop_text,omitempty"` // that ended the answer
	Timings         *timings `json:"timings,omitempty"`
}

type timings struct { // milliseconds, as llama.cpp names them
	PromptN    int     `json:"prompt_n"`
	CacheN     int     `json:"cache_n"`
	PromptMS   float64 `json:"prompt_ms"`
	PredictedN int     `json:"predicted_n"`
	PredictMS  float64 `json:"predicted_ms"`
	QueueMS    float64 `json:"queue_ms"`
	TTFTMS     float64 `json:"ttft_ms"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// extend tells of an answer, r may be nil.
func (p *prepared) extend(r *systemgemma.Result, mode string) *extension {
	x := &extension{SystemMode: mode, Ignored: p.a.Ignored, Warnings: p.a.Warnings}
	if r != nil {
		x.Seed, x.DroppedMessages, x.Cut, x.StopText = r.Seed, r.DroppedMessages, r.Cut, r.Stop
		x.Warnings = append(slices.Clip(x.Warnings), r.Warnings...)
		x.Timings = &timings{
			PromptN: len(r.PromptIDs) - r.CachedTokens, CacheN: r.CachedTokens, PromptMS: milliseconds(r.Prefill), PredictedN: len(r.IDs),
			PredictMS: milliseconds(r.Decode), QueueMS: milliseconds(r.Queue), TTFTMS: milliseconds(r.TTFT),
		}
	}
	return x
}

// usage counts tokens.
type usage struct {
	Prompt     int               `json:"prompt_tokens"`
	Completion int               `json:"completion_tokens"`
	Total      int               `json:"total_tokens"`
	PromptMore promptDetails     `json:"prompt_tokens_details"`
	More       completionDetails `json:"completion_tokens_details"`
}

type promptDetails struct {
	Cached int `json:"cached_tokens"`
}

type completionDetails struct {
	Reasoning int `json:"reasoning_tokens"`
	Accepted  int `json:"accepted_prediction_tokens"`
	Rejected  int `json:"rejected_prediction_tokens"`
}

// add counts a result; answers to one prompt count it once.
func (u *usage) add(r *systemgemma.Result, first bool) {
	if first {
		u.Prompt += len(r.PromptIDs)
		u.PromptMore.Cached += r.CachedTokens
	}
	u.Completion += len(r.IDs)
	u.More.Accepted += r.AcceptedTokens
	u.More.Rejected += r.DraftedTokens - r.AcceptedTokens
	u.Total = u.Prompt + u.Completion
}

// finish is OpenAI's name of why an answer ended.
func finish(r *systemgemma.Result) string {
	if r.FinishReason == systemgemma.FinishStop {
		return "stop"
	}
	return "length"
}

// collect runs an answer to its end.
func collect(events hosted.Events, each func(systemgemma.Event)) (*systemgemma.Result, error) {
	var result *systemgemma.Result
	for e, err := range events {
		if err != nil {
			return nil, err
		}
		if each != nil {
			each(e)
		}
		if e.Result != nil {
			result = e.Result
		}
	}
	return result, nil
}

// streamOptions takes stream and stream_options.
func streamOptions(f *option.Fields) (stream, includeUsage bool, err error) {
	if stream, _, err = f.Bool("stream"); err != nil {
		return false, false, err
	}
	x, err := f.Object("stream_options")
	if err != nil || x == nil {
		return stream, false, err
	}
	if !stream {
		return false, false, f.Invalid("stream_options", "want stream: true beside it")
	}
	includeUsage, _, err = x.Bool("include_usage")
	return stream, includeUsage, err
}

// tokenizerInfo is what lm-evaluation-harness asks for before it uses this server's tokenizer. Only with --lm-eval-compat: see
// completions.
func (d *dialect) tokenizerInfo(w http.ResponseWriter, r *http.Request) error {
	lease, err := d.server.Models().Acquire(r.Context(), "", nil)
	if err != nil {
		return err
	}
	defer lease.Release()
	info := map[string]any{"eos_token": "<eos>", "bos_token": "<bos>", "pad_token": "<pad>", "unk_token": "<unk>", "vocab_size": lease.Info.Vocabulary, "model_max_length": lease.Model.ContextLength()}
	if t := lease.Info.ChatTemplate; t != "" {
		info["chat_template"] = t
	}
	return server.Reply(w, http.StatusOK, info)
}

// errorChunk is an error as the last event of a stream.
func errorChunk(e *problem.Error) any { return server.OpenAIError(e) }
