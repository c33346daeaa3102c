package models

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// Draft describes a model as a registry's: texts and facts, without the large layers.
func Draft(path string, s *Settings) (*ollamastore.Draft, error) {
	info, err := systemgemma.Describe(path, nil)
	if err != nil {
		return nil, err
	}
	if info.Config == nil {
		return nil, fmt.Errorf("%s: want a whole model", path)
	}
	d := &ollamastore.Draft{
		Family: family, Size: People(info.Parameters), FileType: MainType(&info), System: s.System, Template: s.Template, Licenses: s.Licenses,
	}
	if info.Format != "gguf" {
		return nil, fmt.Errorf("%s is of a format that only this program reads; systemgemma convert --to gguf makes one for others", path)
	}
	if d.Template == "" {
		d.Template = s.Unknown
	}
	if d.Template == "" {
		mode := s.SystemMode
		if mode == "" {
			mode = info.SystemMode
		}
		text, ok := modelfile.GoTemplate(mode)
		if !ok {
			return nil, fmt.Errorf("system mode %s has no template that Ollama could use; want TEMPLATE in the Modelfile", mode)
		}
		d.Template = text
	}
	if !s.Parameters.IsZero() {
		text, err := json.Marshal(s.Parameters)
		if err != nil {
			return nil, err
		}
		values := map[string]any{}
		if err := json.Unmarshal(text, &values); err != nil {
			return nil, err
		}
		d.Params = values
	}
	if s.Messages != nil {
		d.Messages = s.Messages
	}
	return d, nil
}

// People is a number of parameters as Ollama shows it: 2.6B, 137M, 256.
func People(n int64) string {
	switch {
	case n >= 1e9:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/1e9), ".0") + "B"
	case n >= 1e6:
		return fmt.Sprintf("%.0fM", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0fK", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}

// MainType is the type that most bytes of a model have.
func MainType(i *systemgemma.Info) string {
	bytes := map[string]int64{}
	best := "unknown"
	for _, t := range i.Tensors {
		bytes[t.Type] += t.Bytes
		if bytes[t.Type] > bytes[best] {
			best = t.Type
		}
	}
	return best
}

// Blobs are the layers of a model that is in no Ollama store: large ones by path, small ones in memory.
type Blobs struct {
	paths map[string]string
	texts map[string]string
}

type memoryBlob struct{ *strings.Reader }

func (memoryBlob) Close() error { return nil }

// Open opens a layer, and tells its size.
func (b *Blobs) Open(l ollamastore.Layer) (ollamastore.Blob, int64, error) {
	if text, ok := b.texts[l.Digest.Hex()]; ok {
		return memoryBlob{strings.NewReader(text)}, int64(len(text)), nil
	}
	f, err := os.Open(b.paths[l.Digest.Hex()])
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// file adds a large layer.
func (b *Blobs) file(ctx context.Context, path string) (l ollamastore.Layer, err error) {
	f, err := os.Open(path)
	if err != nil {
		return l, err
	}
	defer func() { _ = f.Close() }() // only read
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return l, errors.Join(err, fmt.Errorf("%s: want a GGUF file for a registry", path))
	}
	h := sha256.New()
	if l.Size, err = io.Copy(h, &stoppable{ctx, f}); err != nil {
		return l, err
	}
	sum := fmt.Sprintf("%x", h.Sum(nil))
	b.paths[sum] = path
	l.Digest = ollamastore.Digest("sha256:" + sum)
	return l, nil
}

// Layers are the model at path, with what it carries, as a registry takes it.
func Layers(ctx context.Context, path string, carried *Settings) (*ollamastore.Manifest, *Blobs, error) {
	d, err := Draft(path, carried)
	if err != nil {
		return nil, nil, err
	}
	b := &Blobs{paths: map[string]string{}, texts: map[string]string{}}
	if d.Model, err = b.file(ctx, path); err != nil {
		return nil, nil, err
	}
	for _, a := range carried.Adapters {
		l, err := b.file(ctx, a)
		if err != nil {
			return nil, nil, err
		}
		d.Adapters = append(d.Adapters, l)
	}
	manifest, err := d.Assemble(func(text string) (ollamastore.Layer, error) {
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		b.texts[sum] = text
		return ollamastore.Layer{Digest: ollamastore.Digest("sha256:" + sum), Size: int64(len(text))}, nil
	})
	return manifest, b, err
}
