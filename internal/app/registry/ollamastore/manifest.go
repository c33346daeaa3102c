package ollamastore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
)

// Media types of a manifest and of its layers.
const (
	ManifestType = "application/vnd.docker.distribution.manifest.v2+json"
	ConfigType   = "application/vnd.docker.container.image.v1+json"
	layerPrefix  = "application/vnd.ollama.image."

	ModelType    = layerPrefix + "model"
	AdapterType  = layerPrefix + "adapter"
	TemplateType = layerPrefix + "template"
	SystemType   = layerPrefix + "system"
	ParamsType   = layerPrefix + "params"
	MessagesType = layerPrefix + "messages"
	LicenseType  = layerPrefix + "license"
)

// MaxManifest bounds a manifest, maxLayers the number of its layers.
const (
	MaxManifest = 4 << 20
	maxLayers   = 10_000
)

// Manifest lists what a model is made of.
type Manifest struct {
	SchemaVersion int     `json:"schemaVersion"`
	MediaType     string  `json:"mediaType"`
	Config        Layer   `json:"config"`
	Layers        []Layer `json:"layers"`
}

// Layer is one blob of a model.
type Layer struct {
	MediaType string `json:"mediaType"`
	Digest    Digest `json:"digest"`
	Size      int64  `json:"size"`           // in bytes, as the manifest says; what counts is the blob's own
	From      string `json:"from,omitempty"` // where it was made of; may be a path of the machine that made it
}

// Kind is the layer's media type without what all share: model, template, system ..., or config
func (l Layer) Kind() string {
	if l.MediaType == ConfigType {
		return "config"
	}
	return strings.TrimPrefix(l.MediaType, layerPrefix)
}

// Digest is sha256:HEX (also sha256-HEX), the name of a blob and the hash of its bytes.
type Digest string

var digest = regexp.MustCompile(`^sha256[:-][0-9a-fA-F]{64}$`)

// Check refuses what is no digest: it will be part of a path.
func (d Digest) Check() error {
	if !digest.MatchString(string(d)) {
		return &DigestError{Digest: string(d)}
	}
	return nil
}

// Hex are the digits, lower case.
func (d Digest) Hex() string {
	return strings.ToLower(strings.TrimLeft(strings.TrimPrefix(string(d), "sha256"), ":-"))
}

// File is the blob's name in a store.
func (d Digest) File() string { return "sha256-" + d.Hex() }

// Sum is how the blob's bytes are checked.
func (d Digest) Sum() download.Sum { return download.SumOf(d.Hex()) }

// DigestError is a digest that is none.
type DigestError struct{ Digest string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("digest %.80q: want sha256: and 64 hexadecimal digits", e.Digest)
}

// ParseManifest reads a manifest and checks all that will be used of it.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > MaxManifest {
		return nil, fmt.Errorf("manifest: want at most %d bytes, found %d", MaxManifest, len(text))
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("manifest: no JSON as expected: %w (it begins with %.60q)", err, text)
	}
	if len(m.Layers) > maxLayers {
		return nil, fmt.Errorf("manifest: want at most %d layers, found %d", maxLayers, len(m.Layers))
	}
	for _, l := range m.All() {
		if err := l.Digest.Check(); err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
		if l.Size < 0 {
			return nil, fmt.Errorf("manifest: layer %s: want a size of 0 or more, found %d", l.Digest, l.Size)
		}
	}
	return &m, nil
}

// Encode is the manifest as registries and stores keep it.
func (m *Manifest) Encode() ([]byte, error) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(m); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// All are the layers, and the config as the last, if there is one.
func (m *Manifest) All() []Layer {
	all := append([]Layer{}, m.Layers...)
	if m.Config.Digest != "" {
		all = append(all, m.Config)
	}
	return all
}

// Of returns the layers of a media type.
func (m *Manifest) Of(mediaType string) (found []Layer) {
	for _, l := range m.Layers {
		if l.MediaType == mediaType {
			found = append(found, l)
		}
	}
	return found
}

// Bytes is the size of all layers together, by the manifest.
func (m *Manifest) Bytes() (n int64) {
	for _, l := range m.All() {
		n += l.Size
	}
	return n
}
