package ollama

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// push answers POST /api/push: a model goes where its name says, to a registry as Ollama has it, or to a repository of a hub
// (hf.co/OWNER/NAME). /api/copy gives a model such a name.
func (d *dialect) push(w http.ResponseWriter, r *http.Request) error {
	f, m, err := readMoving(r)
	if err != nil {
		return err
	}
	to, given, err := readCommit(f)
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	for _, before := range []string{"hf://", "hf.co/", "huggingface.co/"} {
		if strings.HasPrefix(m.name, before) {
			return d.pushHub(w, r, m, to)
		}
	}
	if given != "" {
		return problem.Unsupported(given, "want none: a registry has no commits; hf.co/OWNER/NAME is a repository of a hub, found %.100q", m.name)
	}
	n, err := names.ParseOllama(strings.TrimPrefix(m.name, "ollama://"))
	switch {
	case err != nil || strings.Contains(strings.TrimPrefix(m.name, "ollama://"), "://"):
		return problem.Invalid("model", "want [host[:port]/]namespace/model[:tag], or hf.co/owner/name, found %.100q", m.name)
	case n.Host == names.Registry && n.Namespace == names.Library:
		return problem.Invalid("model", "want a namespace of your own, as me/%s; /api/copy gives a model such a name, found %.100q", n.Model, m.name)
	case d.Registry == nil:
		return problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "push is not supported by this server: it asks no registry")
	}
	return d.move(w, r, m.stream, func(t *teller) error { return d.pushRegistry(r.Context(), t, n, m) })
}

// pushRegistry brings a model to a registry.
func (d *dialect) pushRegistry(ctx context.Context, t *teller, n names.OllamaName, m moving) error {
	t.note("retrieving manifest")
	manifest, source, err := d.layers(ctx, m.name)
	if err != nil {
		t.note("couldn't retrieve manifest")
		return err
	}
	layers := map[string]ollamastore.Layer{}
	for _, l := range manifest.All() {
		layers[l.Digest.Hex()[:12]] = l
	}
	client, err := d.Registry(n, registry.Options{
		Insecure: m.insecure, Notice: t.note, Waiting: t.waiting,
		Pushing: func(l ollamastore.Layer) {
			if l.MediaType == ollamastore.ManifestType {
				t.note("pushing manifest")
				return
			}
			t.send(layerStatus("pushing", l, 0))
		},
		Report: func(x download.Progress) {
			t.progress(layerStatus("pushing", layers[x.Name[strings.LastIndexByte(x.Name, ' ')+1:]], x.Done))
		},
	})
	if err != nil {
		return explain(err)
	}
	defer client.Close()
	return explain(client.Push(ctx, manifest, source))
}

// layers are a model as a registry takes it.
func (d *dialect) layers(ctx context.Context, name string) (*ollamastore.Manifest, registry.Source, error) {
	e, err := d.own(name)
	if err != nil {
		return nil, nil, err
	}
	if e.Stored.Ollama != nil {
		return e.Stored.Ollama.Manifest, e.Stored.OllamaStore(), nil
	}
	store, err := d.store()
	if err != nil {
		return nil, nil, err
	}
	carried, err := store.Settings(e.Stored)
	if err != nil {
		return nil, nil, err
	}
	manifest, blobs, err := models.Layers(ctx, e.Path, carried)
	if err != nil && !errors.Is(err, context.Canceled) {
		err = problem.Invalid("model", "%v", err)
	}
	return manifest, blobs, err
}

// own is a model that can be pushed: one of the folder of models.
func (d *dialect) own(name string) (hosted.Entry, error) {
	e, err := d.server.Models().Find(name)
	if err != nil && (e.Stored == nil || e.Stored.Ollama == nil) { // what is Ollama's goes as it is
		return e, err
	}
	if e.Stored == nil {
		return e, problem.Invalid("model", "%s was given to systemgemma serve, or is part of it; only models of its folder can be pushed", name)
	}
	return e, nil
}
