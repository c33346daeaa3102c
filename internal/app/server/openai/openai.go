// Package openai is OpenAI's dialect: chat completions, completions with the log probabilities that evaluation harnesses read,
// responses, embeddings, models.
//
// It owns the forms of requests and answers. What options mean is package option's, how a conversation is answered package talk's, how
// tools are offered package tools', who may ask and how answers are sent package server's.
package openai

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
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

// identity is by what an answer is known.
type identity struct {
	id      string
	created int64
	print   string // fingerprint
}

// prepared is a request whose model is open and whose options are read.
type prepared struct {
	*talk.Request
	identity
}

// prepare takes the model and all options from a request. The lease is the caller's to release.
func (d *dialect) prepare(r *http.Request, f *option.Fields, prefix string) (*prepared, error) {
	q, err := talk.Open(r.Context(), d.server.Models(), f, option.OpenAI, d.server.Config().MaxN)
	if err != nil {
		return nil, err
	}
	return &prepared{q, identity{prefix + rand.Text(), d.now().Unix(), fingerprint(q.Lease)}}, nil
}

// fingerprint tells apart what gives other answers to the same request: models, and how they are computed.
func fingerprint(l *hosted.Lease) string {
	i := &l.Info
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", i.Name, i.Bytes, i.Parameters))
	return fmt.Sprintf("sg_%x", sum[:5])
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

// scores are those of the answers of a beam search.
func scores(results []systemgemma.Result) (list []float64) {
	for _, r := range results {
		list = append(list, r.Score)
	}
	return list
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
