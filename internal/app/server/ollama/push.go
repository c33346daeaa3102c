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
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// push answers POST /api/push: a model goes to the registry that its name says, as Ollama has it. /api/copy gives a model such a name.
func (d *dialect) push(w http.ResponseWriter, r *http.Request) error {
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
	insecure, _, err := f.Bool("insecure")
	if err != nil {
		return err
	}
	for _, x := range []string{"username", "password"} {
		if value, _, err := f.Text(x); err != nil {
			return err
		} else if value != "" {
			return problem.Unsupported(x, "want none: a registry knows the server by its key")
		}
	}
	server.Unknown(r, f)
	if strings.HasPrefix(text, "hf://") || strings.HasPrefix(text, "hf.co/") || strings.HasPrefix(text, "huggingface.co/") {
		return problem.Unsupported("model", "want a model of a registry; systemgemma push brings models to a hub")
	}
	n, err := names.ParseOllama(strings.TrimPrefix(text, "ollama://"))
	switch {
	case err != nil || strings.Contains(strings.TrimPrefix(text, "ollama://"), "://"):
		return problem.Invalid("model", "want [host[:port]/]namespace/model[:tag], found %.100q", text)
	case n.Host == names.Registry && n.Namespace == names.Library:
		return problem.Invalid("model", "want a namespace of your own, as me/%s; /api/copy gives a model such a name, found %.100q", n.Model, text)
	case d.Registry == nil:
		return problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "push is not supported by this server: it asks no registry")
	}
	return d.move(w, r, !given || stream, func(t *teller) error {
		t.note("retrieving manifest")
		manifest, source, err := d.layers(r.Context(), text)
		if err != nil {
			t.note("couldn't retrieve manifest")
			return err
		}
		layers := map[string]ollamastore.Layer{}
		for _, l := range manifest.All() {
			layers[l.Digest.Hex()[:12]] = l
		}
		client, err := d.Registry(n, registry.Options{
			Insecure: insecure, Notice: t.note, Waiting: t.waiting,
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
		return explain(client.Push(r.Context(), manifest, source))
	})
}

// layers are a model as a registry takes it.
func (d *dialect) layers(ctx context.Context, name string) (*ollamastore.Manifest, registry.Source, error) {
	e, err := d.server.Models().Find(name)
	if err != nil && (e.Stored == nil || e.Stored.Ollama == nil) { // what is Ollama's goes as it is
		return nil, nil, err
	}
	if e.Stored == nil {
		return nil, nil, problem.Invalid("model", "%s was given to systemgemma serve, or is part of it; only models of its folder can be pushed", name)
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
