package ollama

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/pull"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// pull answers POST /api/pull: names as systemgemma pull takes them, and as clients of Ollama write them. Terms of a model that were not accepted on this machine before must be
// accepted with the request.
func (d *dialect) pull(w http.ResponseWriter, r *http.Request) error {
	f, m, err := readMoving(r)
	if err != nil {
		return err
	}
	accept, _, err := f.Bool("accept_license")
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	name, err := names.ParseClient(m.name)
	switch {
	case err != nil:
		return problem.Invalid("model", "%v", err)
	case name.Kind == names.Hub && m.insecure:
		return problem.Unsupported("insecure", "want false: hubs are asked by https, unless the server's HF_ENDPOINT says otherwise")
	case name.Kind != names.Hub && name.Kind != names.Ollama:
		return problem.Unsupported("model", "want a short name (%s), owner/name of a hub, or a model of a registry, found %.100q", names.ShortNames(), m.name)
	}
	store, err := d.store()
	if err != nil {
		return err
	}
	if name.Kind == names.Hub && d.Hub == nil || name.Kind == names.Ollama && d.Registry == nil {
		return problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "pull is not supported by this server: it asks no hub and no registry")
	}
	return d.move(w, r, m.stream, func(t *teller) error {
		p := &puller{teller: t, d: d, store: store}
		if name.Kind == names.Ollama {
			return p.registry(r.Context(), name.Ollama, m.insecure, accept)
		}
		return p.hub(r.Context(), name, accept)
	})
}

// puller is one pull.
type puller struct {
	*teller
	d     *dialect
	store *models.Store
}

func (p *puller) hub(ctx context.Context, name names.Name, accepted bool) error {
	client, err := p.d.Hub(hub.Options{
		Verified: models.Verified{Store: *p.store}, Notice: p.note,
		Report: func(x download.Progress) {
			p.progress(status{Status: "pulling " + x.Name, Digest: x.Name, Total: max(0, x.Total), Completed: x.Done})
		},
		Waiting: p.waiting,
	})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // nothing is written through it any more
	x := &pull.Puller{Client: client, Store: *p.store, Notice: p.note, Progress: func(c systemgemma.ConvertProgress) {
		p.progress(status{Status: "converting", Digest: "weights", Total: c.Total, Completed: c.Done})
	}}
	p.note("pulling manifest")
	plan, err := x.Plan(ctx, pull.Request{Name: name})
	if err != nil {
		return explain(err)
	}
	if !plan.Here {
		err := p.terms(plan.Repo, accepted, func() (string, error) {
			if plan.Away != nil {
				return "", nil
			}
			return x.Licence(ctx, plan)
		})
		if err != nil {
			return err
		}
	}
	if _, err := x.Run(ctx, plan); err != nil {
		return explain(err)
	}
	p.d.server.Models().Changed()
	return nil
}

// registry pulls from a registry of Ollama, in the lines that its clients know.
func (p *puller) registry(ctx context.Context, n names.OllamaName, insecure, accepted bool) error {
	layers := map[string]ollamastore.Layer{}
	client, err := p.d.Registry(n, registry.Options{
		Insecure: insecure, Notice: p.note, Waiting: p.waiting, LockDir: p.store.LockDir(), Verified: models.Verified{Store: *p.store},
		Report: func(x download.Progress) {
			l := layers[x.Name[strings.LastIndexByte(x.Name, ' ')+1:]]
			p.progress(layerStatus("pulling", l, x.Done))
		},
	})
	if err != nil {
		return explain(err)
	}
	defer client.Close()
	p.note("pulling manifest")
	x := &pull.RegistryPuller{Client: client, Store: *p.store, Notice: p.note, Stage: p.note}
	plan, err := x.Plan(ctx)
	if err != nil {
		return explain(err)
	}
	if plan.Away != nil {
		p.note(fmt.Sprintf("could not ask %s (%v); using what is here", plan.Registry, plan.Away))
	}
	for _, text := range plan.Settings.Notices() {
		p.note(text)
	}
	if !plan.Here {
		if err := p.terms(plan.Name, accepted, func() (string, error) { return plan.Licence(), nil }); err != nil {
			return err
		}
	}
	for _, l := range plan.Layers() {
		layers[l.Digest.Hex()[:12]] = l
		done := l.Size // of a small one, which the plan has read
		if !plan.Here && (l.MediaType == ollamastore.ModelType || l.MediaType == ollamastore.AdapterType) {
			done = 0
		}
		p.send(layerStatus("pulling", l, done))
	}
	if _, err := x.Run(ctx, plan); err != nil {
		return explain(err)
	}
	p.d.server.Models().Changed()
	return nil
}

// codeTerms: a model's terms must be accepted first.
const codeTerms = "license_not_accepted"

// terms sees to it that a model's terms are accepted. licence is its own, where it has one.
func (p *puller) terms(model string, accepted bool, licence func() (string, error)) error {
	if p.store.Licence(model) != nil {
		return nil
	}
	if !accepted {
		return problem.New(http.StatusForbidden, codeTerms, "the terms of %s are not accepted yet: read %s, then pull it with accept_license: true, or by systemgemma pull", model, models.TermsURL)
	}
	text, err := licence()
	if err != nil {
		return explain(err)
	}
	return p.store.SetLicence(models.Accept(model, models.Notice(model, text), "accept_license of /api/pull", p.now()))
}

// explain is what went wrong with a hub or a registry: their errors say what to do.
func explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	switch wire.KindOf(err) {
	case wire.RepoNotFound, wire.RevisionNotFound, wire.FileNotFound, wire.NotFound:
		return problem.NoModel("%v", err)
	}
	return problem.New(http.StatusBadGateway, "", "%v", err)
}
