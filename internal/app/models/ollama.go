package models

import (
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

const ollamaScheme = "ollama://"

// family is the architecture that can be run.
const family = "gemma2"

// OllamaOrigin names a registry's model as an origin.
func OllamaOrigin(n names.OllamaName) string { return ollamaScheme + n.String() }

// OllamaName is what a registry's model is called in our store: NAMESPACE/MODEL, with the host before the namespace unless it is
// Ollama's own.
func OllamaName(n names.OllamaName) string {
	owner := n.Namespace
	if !strings.EqualFold(n.Host, names.Registry) {
		owner = strings.ReplaceAll(n.Host, ":", ".") + "." + owner
	}
	return owner + "/" + n.Model
}

// listOllama returns the models of Ollama stores that can be run here. The first store that has a name counts.
func (s Store) listOllama() (all []Model, err error) {
	seen := map[string]bool{}
	for _, store := range s.Ollama {
		list, err := store.List()
		if err != nil {
			return nil, fmt.Errorf("store of Ollama at %s: %w", store.Dir, err)
		}
		for i := range list {
			x := &list[i]
			weights := x.Manifest.Of(ollamastore.ModelType)
			if x.Config.ModelFamily != family || len(weights) != 1 || seen[x.Name.Full()] {
				continue
			}
			seen[x.Name.Full()] = true
			path := store.BlobPath(weights[0].Digest)
			all = append(all, Model{
				Name: OllamaName(x.Name), Type: x.Name.Tag, Platform: cpu, Commit: x.Digest[:8], Path: path, Bytes: x.Manifest.Bytes(), Changed: x.Changed,
				Used: s.used(path), ReadOnly: true, Origin: &Origin{Source: OllamaOrigin(x.Name), SHA256: weights[0].Digest.Hex(), Made: x.Changed.UTC()},
				Ollama: x, store: store,
			})
		}
	}
	return all, nil
}

// from tells whether a model came from a registry under that name, or lies in an Ollama store under it.
func (m *Model) from(n names.OllamaName) bool {
	if m.Ollama != nil {
		return m.Ollama.Name.Same(n)
	}
	if m.Origin == nil {
		return false
	}
	rest, ok := strings.CutPrefix(m.Origin.Source, ollamaScheme)
	o, err := names.ParseOllama(rest)
	return ok && err == nil && o.Same(n)
}

// otherFamily says that a model is in an Ollama store and can't be run here; nil if there is none of that name.
func (s Store) otherFamily(name string) error {
	rest, ok := strings.CutPrefix(name, ollamaScheme)
	if !ok {
		return nil
	}
	n, err := names.ParseOllama(rest)
	if err != nil {
		return err
	}
	for _, store := range s.Ollama {
		list, err := store.List()
		if err != nil {
			return err
		}
		for _, x := range list {
			if x.Name.Same(n) {
				return fmt.Errorf("%s is in the Ollama store %s, as a model of the kind %q; want %s", name, store.Dir, x.Config.ModelFamily, family)
			}
		}
	}
	return nil
}

// OllamaStore is the store of a model whose Ollama is not nil.
func (m *Model) OllamaStore() ollamastore.Store { return m.store }
