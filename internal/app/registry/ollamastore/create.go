package ollamastore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

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
	m, err := d.Assemble(func(text string) (Layer, error) { return s.PutBlob(strings.NewReader(text), "") })
	if err != nil {
		return nil, err
	}
	encoded, err := m.Encode()
	if err != nil {
		return nil, err
	}
	return m, s.putManifest(n, append(encoded, '\n')) // with a line end where a pull has none, as Ollama does it
}

// Assemble is the manifest of a draft. put stores a text and tells its digest and size.
func (d *Draft) Assemble(put func(text string) (Layer, error)) (*Manifest, error) {
	m := &Manifest{SchemaVersion: 2, MediaType: ManifestType}
	d.Model.MediaType = ModelType
	m.Layers = append(m.Layers, d.Model)
	for _, a := range d.Adapters {
		a.MediaType = AdapterType
		m.Layers = append(m.Layers, a)
	}
	text := func(mediaType, t string) (l Layer, err error) {
		l, err = put(t)
		l.MediaType = mediaType
		return l, err
	}
	value := func(mediaType string, v any) (Layer, error) {
		var b bytes.Buffer
		if err := json.NewEncoder(&b).Encode(v); err != nil {
			return Layer{}, err
		}
		return text(mediaType, b.String())
	}
	add := func(l Layer, err error) error {
		m.Layers = append(m.Layers, l)
		return err
	}
	var errs []error
	if d.Template != "" {
		errs = append(errs, add(text(TemplateType, d.Template)))
	}
	if d.System != "" {
		errs = append(errs, add(text(SystemType, d.System)))
	}
	for _, l := range d.Licenses {
		errs = append(errs, add(text(LicenseType, l)))
	}
	if d.Params != nil {
		errs = append(errs, add(value(ParamsType, d.Params)))
	}
	if d.Messages != nil {
		errs = append(errs, add(value(MessagesType, d.Messages)))
	}
	config, err := value(ConfigType, newConfig(d, m.Layers))
	m.Config = config
	return m, errors.Join(append(errs, err)...)
}

// newConfig is the config of a model of these layers.
func newConfig(d *Draft, layers []Layer) Config {
	c := Config{
		ModelFormat: "gguf", ModelFamily: d.Family, ModelFamilies: []string{d.Family}, ModelType: d.Size, FileType: d.FileType,
		Architecture: "amd64", OS: "linux", RootFS: RootFS{Type: "layers"},
	}
	for _, l := range layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, l.Digest)
	}
	return c
}
