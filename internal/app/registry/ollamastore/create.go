package ollamastore

import (
	"errors"
	"fmt"
	"os"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// Draft is what a model shall be made of.
type Draft struct {
	Model     Layer // a blob that is in the store
	Adapters  []Layer
	Family    string // architecture, as in the model's file
	Size      string // number of parameters for people, as in 2.6B
	FileType  string // kind of weights
	Template  string // "" leaves it out, as with what follows
	System    string
	Licenses  []string
	Params    any // encoded as a JSON object
	Messages  any // encoded as a JSON array
	Overwrite bool
}

// ErrExists: a model of that name is there.
var ErrExists = errors.New("exists already")

// Create makes a model: its texts as blobs, a config and the manifest, in the order and form that Ollama gives them.
func (s Store) Create(n names.OllamaName, d Draft) (*Manifest, error) {
	if _, err := os.Lstat(s.ManifestPath(n)); err == nil && !d.Overwrite {
		return nil, fmt.Errorf("%s: %w", n, ErrExists)
	}
	m := &Manifest{SchemaVersion: 2, MediaType: ManifestType}
	d.Model.MediaType = ModelType
	m.Layers = append(m.Layers, d.Model)
	for _, a := range d.Adapters {
		a.MediaType = AdapterType
		m.Layers = append(m.Layers, a)
	}
	text := func(mediaType, t string) error {
		if t == "" {
			return nil
		}
		l, err := s.PutText(mediaType, t)
		m.Layers = append(m.Layers, l)
		return err
	}
	value := func(mediaType string, v any) error {
		if v == nil {
			return nil
		}
		l, err := s.PutJSON(mediaType, v)
		m.Layers = append(m.Layers, l)
		return err
	}
	if err := text(TemplateType, d.Template); err != nil {
		return nil, err
	}
	if err := text(SystemType, d.System); err != nil {
		return nil, err
	}
	for _, l := range d.Licenses {
		if err := text(LicenseType, l); err != nil {
			return nil, err
		}
	}
	if err := value(ParamsType, d.Params); err != nil {
		return nil, err
	}
	if err := value(MessagesType, d.Messages); err != nil {
		return nil, err
	}
	var err error
	if m.Config, err = s.PutJSON(ConfigType, NewConfig(d, m.Layers)); err != nil {
		return nil, err
	}
	encoded, err := m.Encode()
	if err != nil {
		return nil, err
	}
	return m, s.putManifest(n, append(encoded, '\n')) // with a line end where a pull has none, as Ollama does it
}

// NewConfig is the config of a model of these layers.
func NewConfig(d Draft, layers []Layer) Config {
	c := Config{
		ModelFormat: "gguf", ModelFamily: d.Family, ModelFamilies: []string{d.Family}, ModelType: d.Size, FileType: d.FileType,
		Architecture: "amd64", OS: "linux", RootFS: RootFS{Type: "layers"},
	}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.Digest)
	}
	return c
}
