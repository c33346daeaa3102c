package ollama

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/pull"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// status is a line of a pull.
type status struct {
	Status    string `json:"status"`
	Digest    string `json:"digest,omitempty"` // of the file that is fetched, or its name
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// pull answers POST /api/pull: names as systemgemma pull takes them. Terms of a model that were not accepted on this machine before must be
// accepted with the request.
func (d *dialect) pull(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	text, err := wanted(f)
	if err != nil {
		return err
	}
	stream, given, err := f.Bool("stream")
	if err != nil {
		return err
	}
	accept, _, err := f.Bool("accept_license")
	if err != nil {
		return err
	}
	insecure, _, err := f.Bool("insecure")
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	if insecure {
		return problem.Unsupported("insecure", "want false: hubs are asked by https, unless the server's HF_ENDPOINT says otherwise")
	}
	name, err := names.Parse(text, nil)
	if err != nil {
		return problem.Invalid("model", "%v", err)
	}
	if name.Kind != names.Hub {
		return problem.Unsupported("model", "want a short name (%s) or owner/name of a hub, found %.100q", names.ShortNames(), text)
	}
	store, err := d.store()
	if err != nil {
		return err
	}
	if d.Hub == nil {
		return problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "pull is not supported by this server: it asks no hub")
	}
	select {
	case d.pulls <- struct{}{}:
		defer func() { <-d.pulls }()
	default:
		return problem.Later(http.StatusServiceUnavailable, problem.CodeBusy, 30*time.Second, "want at most %d pulls at a time; try again later", maxPulls)
	}
	p := &puller{d: d, store: store, send: func(status) {}}
	if !given || stream {
		out := server.NewLines(w, r)
		defer out.Close()
		p.send = func(x status) { _ = out.Send(x) } // a client who has left ends r.Context()
		err := p.run(r.Context(), name, accept)
		if err == nil {
			return out.Send(status{Status: "success"})
		}
		return out.Failed(err, func(e *problem.Error) error { return out.Send(failed(e)) })
	}
	if err := p.run(r.Context(), name, accept); err != nil {
		return err
	}
	return noted(w)
}

// puller is one pull.
type puller struct {
	d     *dialect
	store *models.Store
	send  func(status)

	mu   sync.Mutex
	last time.Time // guarded by mu; of the last line of progress
}

// pace is how often progress is told.
const pace = 200 * time.Millisecond

// progress tells how far something is, not too often, but always its end.
func (p *puller) progress(x status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.d.now(); x.Completed >= x.Total || now.Sub(p.last) >= pace {
		p.last = now
		p.send(x)
	}
}

func (p *puller) run(ctx context.Context, name names.Name, accepted bool) error {
	notice := func(text string) { p.send(status{Status: text}) }
	client, err := p.d.Hub(hub.Options{
		Verified: models.Verified{Store: *p.store}, Notice: notice,
		Report: func(x download.Progress) {
			p.progress(status{Status: "pulling " + x.Name, Digest: x.Name, Total: max(0, x.Total), Completed: x.Done})
		},
		Waiting: func(wait time.Duration, why error) { notice(fmt.Sprintf("%v; trying again in %s", why, wait)) },
	})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // nothing is written through it any more
	x := &pull.Puller{Client: client, Store: *p.store, Notice: notice, Progress: func(c systemgemma.ConvertProgress) {
		p.progress(status{Status: "converting", Digest: "weights", Total: c.Total, Completed: c.Done})
	}}
	p.send(status{Status: "pulling manifest"})
	plan, err := x.Plan(ctx, pull.Request{Name: name})
	if err != nil {
		return explain(err)
	}
	if !plan.Here {
		if err := p.terms(ctx, x, plan, accepted); err != nil {
			return err
		}
	}
	if _, err := x.Run(ctx, plan); err != nil {
		return explain(err)
	}
	p.d.server.Models().Changed()
	return nil
}

// terms sees to it that the model's terms are accepted.
func (p *puller) terms(ctx context.Context, x *pull.Puller, plan *pull.Plan, accepted bool) error {
	if p.store.Licence(plan.Repo) != nil {
		return nil
	}
	if !accepted {
		return problem.New(http.StatusForbidden, "", "the terms of %s are not accepted yet: read %s, then pull it with accept_license: true, or by systemgemma pull", plan.Repo, models.TermsURL)
	}
	licence := ""
	if plan.Away == nil {
		var err error
		if licence, err = x.Licence(ctx, plan); err != nil {
			return explain(err)
		}
	}
	return p.store.SetLicence(models.Accept(plan.Repo, models.Notice(plan.Repo, licence), "accept_license of /api/pull", p.d.now()))
}

// explain is what went wrong with a hub: its errors say what to do.
func explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	switch wire.KindOf(err) {
	case wire.RepoNotFound, wire.RevisionNotFound, wire.FileNotFound, wire.NotFound:
		return problem.NoModel("%v", err)
	}
	return problem.New(http.StatusBadGateway, "", "%v", err)
}
