package openai

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
)

// model is one of /v1/models: what OpenAI tells, and what clients like to know besides.
type model struct {
	ID           string   `json:"id"`
	Object       string   `json:"object"` // model
	Created      int64    `json:"created"`
	OwnedBy      string   `json:"owned_by"`
	Aliases      []string `json:"aliases,omitempty"`
	Context      int      `json:"context_length,omitempty"`
	MaxLength    int      `json:"max_model_len,omitempty"` // vLLM's name for it
	Capabilities []string `json:"capabilities"`
	Quantization string   `json:"quantization,omitempty"`
	Parameters   int64    `json:"parameters,omitempty"`
	Bytes        int64    `json:"bytes,omitempty"`
	SystemMode   string   `json:"system_mode,omitempty"`
	Licence      string   `json:"license,omitempty"`
	Error        string   `json:"error,omitempty"` // why its files can't be read
}

func newModel(e *hosted.Entry) model {
	m := model{
		ID: e.Name, Object: "model", Created: e.Changed.Unix(), OwnedBy: "systemgemma", Aliases: e.Aliases, Capabilities: []string{"completion", "tools", "embedding"},
		Parameters: e.Info.Parameters, Bytes: e.Bytes, SystemMode: e.Info.SystemMode, Licence: licence(e),
	}
	if e.Changed.IsZero() {
		m.Created = 0
	}
	if owner, _, ok := strings.Cut(e.Name, "/"); ok {
		m.OwnedBy = owner
	}
	if c := e.Info.Config; c != nil {
		m.Context, m.MaxLength = c.MaxPositions, c.MaxPositions
	}
	if e.Stored != nil {
		m.Quantization = e.Stored.Type
	}
	if e.Err != nil {
		m.Error, m.Capabilities = "its files can't be read; systemgemma show tells why", []string{}
	}
	return m
}

// licence is what a model's files say of their licence; whoever serves Gemma's weights has to pass its terms on.
func licence(e *hosted.Entry) string {
	for _, k := range []string{"general.license.name", "general.license"} {
		if l := e.Info.Metadata[k]; l != "" {
			if strings.EqualFold(l, "gemma") {
				return fmt.Sprintf("Gemma is provided under and subject to the Gemma Terms of Use found at %s", models.TermsURL)
			}
			return l
		}
	}
	if e.Stored != nil && strings.HasPrefix(e.Stored.Name, "google/gemma") {
		return fmt.Sprintf("Gemma is provided under and subject to the Gemma Terms of Use found at %s", models.TermsURL)
	}
	return ""
}

// listModels answers GET /v1/models: also by the aliases, since clients look for the name that they were given.
func (d *dialect) listModels(w http.ResponseWriter, _ *http.Request) error {
	list, err := d.server.Models().List()
	if err != nil {
		return err
	}
	data := []model{}
	for i := range list {
		m := newModel(&list[i])
		data = append(data, m)
		for _, a := range m.Aliases {
			alias := m
			alias.ID, alias.Aliases = a, nil
			data = append(data, alias)
		}
	}
	return server.Reply(w, http.StatusOK, map[string]any{"object": "list", "data": data})
}

// getModel answers GET /v1/models/{id}, whose id may have slashes.
func (d *dialect) getModel(w http.ResponseWriter, r *http.Request) error {
	e, err := d.server.Models().Find(r.PathValue("id"))
	if err != nil && e.Name == "" {
		return err
	}
	return server.Reply(w, http.StatusOK, newModel(&e))
}
