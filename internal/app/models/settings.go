package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// Settings are what a model carries besides its weights: what a Modelfile or a registry says of it. They hold for every answer that
// doesn't say otherwise itself. The zero value leaves all to the model's file.
type Settings struct {
	System     string               `json:"system,omitempty"`      // system prompt of conversations that bring none
	SystemMode string               `json:"system_mode,omitempty"` // how system prompts are rendered; "": as the model's file says
	Template   string               `json:"template,omitempty"`    // the Go template that SystemMode was read from
	Parameters modelfile.Parameters `json:"parameters,omitzero"`
	Ignored    []string             `json:"ignored_parameters,omitempty"` // parameters of a registry's model that can't be honoured here
	Unknown    string               `json:"unknown_template,omitempty"`   // a registry's template that is none of ours: SystemMode is ""
	Adapters   []string             `json:"adapters,omitempty"`           // paths: of LoRA adapters, in force at strength 1
	Messages   []modelfile.Message  `json:"messages,omitempty"`           // conversations begin with them, after the system prompt
	Licenses   []string             `json:"licenses,omitempty"`
	From       string               `json:"from,omitempty"` // what the model was made of, for people
}

// IsZero tells whether there is nothing to say.
func (s *Settings) IsZero() bool {
	return s.System == "" && s.SystemMode == "" && s.Template == "" && s.Parameters.IsZero() && s.Ignored == nil && s.Unknown == "" && s.Adapters == nil &&
		s.Messages == nil && s.Licenses == nil
}

// Modelfile is the model as a Modelfile.
func (s *Settings) Modelfile(from string) *modelfile.File {
	f := &modelfile.File{
		From: from, System: s.System, Template: s.Template, Adapters: s.Adapters, Parameters: s.Parameters, Messages: s.Messages, Licenses: s.Licenses,
	}
	if f.Template == "" {
		f.Template = s.Unknown
	}
	return f
}

// Change puts in what a Modelfile says otherwise. A system prompt, a template, messages and licences replace those that are there, also a
// system prompt that is given and empty; parameters do so one by one, stop texts all together; adapters, by their paths, come on top.
func (s *Settings) Change(f *modelfile.File) error {
	if f.System != "" || f.NoSystem {
		s.System = f.System
	}
	if f.Template != "" {
		mode, err := modelfile.Mode(f.Template)
		if err != nil {
			return err
		}
		s.SystemMode, s.Template, s.Unknown = mode, f.Template, ""
	}
	if f.Parameters.Stop != nil {
		s.Parameters.Stop = nil
	}
	for _, p := range f.Parameters.List() {
		if err := s.Parameters.Set(p[0], p[1]); err != nil {
			return err
		}
	}
	if f.Messages != nil {
		s.Messages = f.Messages
	}
	if f.Licenses != nil {
		s.Licenses = f.Licenses
	}
	s.Adapters = append(s.Adapters, f.Adapters...)
	return nil
}

// Stamp is a text that is another one once a model's file, or what lies beside it, was changed or made anew.
func Stamp(model string) string {
	stamp := ""
	for _, path := range []string{model, settingsPath(model)} {
		if info, err := os.Stat(path); err == nil {
			stamp += fmt.Sprintf("%d %d;", info.Size(), info.ModTime().UnixNano())
		}
	}
	return stamp
}

// settingsPath and adaptersPath are where a model's settings and adapters lie: beside it.
func settingsPath(model string) string { return strings.TrimSuffix(model, ".gguf") + ".settings.json" }
func adaptersPath(model string) string { return strings.TrimSuffix(model, ".gguf") + ".adapters" }

// maxSettings bounds a file of settings, in bytes.
const maxSettings = 32 << 20

// Settings returns what a model carries: for one of our store by the file beside it, for one of an Ollama store by its layers. Paths of
// adapters are absolute. A model that carries nothing has zero settings.
func (s Store) Settings(m *Model) (*Settings, error) {
	if m.Ollama != nil {
		return ollamaSettings(m.store, m.Ollama.Manifest)
	}
	return ReadSettings(m.Path)
}

// ReadSettings returns the settings that lie beside a model's file.
func ReadSettings(model string) (*Settings, error) {
	path := settingsPath(model)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Settings{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxSettings+1))
	if err == nil && len(text) > maxSettings {
		err = fmt.Errorf("want at most %d bytes", maxSettings)
	}
	var x Settings
	if err == nil {
		err = json.Unmarshal(text, &x)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; the model can't be used without what stands there", path, err)
	}
	for i, a := range x.Adapters {
		if !filepath.IsLocal(filepath.FromSlash(a)) {
			return nil, fmt.Errorf("%s: adapter %q: want a path below the model's folder", path, a)
		}
		x.Adapters[i] = filepath.Join(filepath.Dir(model), filepath.FromSlash(a))
	}
	return &x, nil
}

// PutSettings writes a model's settings beside it, before the model itself is there, with copies of the adapters (files, or PEFT
// folders). The caller holds the model's lock.
func (s Store) PutSettings(ctx context.Context, model string, x Settings) error {
	if err := s.removeSettings(model); err != nil {
		return err
	}
	if x.IsZero() {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(model), 0o777); err != nil {
		return err
	}
	var local []string
	for i, a := range x.Adapters {
		to := filepath.Join(adaptersPath(model), strconv.Itoa(i+1))
		if err := copyAdapter(ctx, a, &to); err != nil {
			return fmt.Errorf("adapter %s: %w", a, err)
		}
		rel, err := filepath.Rel(filepath.Dir(model), to)
		if err != nil {
			return err
		}
		local = append(local, filepath.ToSlash(rel))
	}
	x.Adapters = local
	return wholefile.Write(settingsPath(model), 0o666, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(x)
	})
}

// Make makes a model of that origin that carries x, by a function that puts it under its name, which no file has yet: never is a model there
// without its origin and what it carries, whatever fails (a disk may be full), and where making fails nothing is left that another model could
// take for its own.
func (s Store) Make(ctx context.Context, model string, o Origin, x Settings, place func() error) error {
	if _, err := os.Lstat(model); err == nil {
		return fmt.Errorf("%s: %w", model, ErrExists)
	}
	err := os.MkdirAll(filepath.Dir(model), 0o777)
	if err == nil {
		err = s.SetOrigin(model, o)
	}
	if err == nil {
		err = s.PutSettings(ctx, model, x)
	}
	if err == nil {
		err = place()
	}
	if err == nil {
		return nil
	}
	if _, there := os.Lstat(model); errors.Is(there, fs.ErrNotExist) {
		s.forget(model)
		if left := s.removeSettings(model); left != nil {
			return errors.Join(err, left)
		}
	}
	return err
}

// copyAdapter copies a file, or the files of a folder; a file keeps its kind in its name.
func copyAdapter(ctx context.Context, from string, to *string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		*to += ".gguf"
		if err := os.MkdirAll(filepath.Dir(*to), 0o777); err != nil {
			return err
		}
		return Copy(ctx, from, *to)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*to, 0o777); err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, "adapter_") && e.Type().IsRegular() { // a PEFT folder is no more than these
			if err := Copy(ctx, filepath.Join(from, name), filepath.Join(*to, name)); err != nil {
				return err
			}
		}
	}
	return hfcache.SyncFolder(*to)
}

func (s Store) removeSettings(model string) error {
	return errors.Join(ignoreMissing(os.Remove(settingsPath(model))), os.RemoveAll(adaptersPath(model)))
}

// ollamaSettings reads the layers of a model in an Ollama store.
func ollamaSettings(store ollamastore.Store, m *ollamastore.Manifest) (*Settings, error) {
	return FromLayers(m, store.Text, func(l ollamastore.Layer) string { return store.BlobPath(l.Digest) })
}

// FromLayers reads what a registry's model carries. text gives a small layer, adapter the path of a large one.
func FromLayers(m *ollamastore.Manifest, text func(ollamastore.Layer) (string, error), adapter func(ollamastore.Layer) string) (*Settings, error) {
	x := &Settings{}
	for _, l := range m.Layers {
		switch l.MediaType {
		case ollamastore.ModelType:
			continue
		case ollamastore.AdapterType:
			x.Adapters = append(x.Adapters, adapter(l))
			continue
		case ollamastore.TemplateType, ollamastore.SystemType, ollamastore.ParamsType, ollamastore.MessagesType, ollamastore.LicenseType:
		default:
			return nil, fmt.Errorf("layer of type %q: not known here, so the model can't be what its publisher means", l.MediaType)
		}
		t, err := text(l)
		if err != nil {
			return nil, err
		}
		switch l.MediaType {
		case ollamastore.TemplateType:
			if x.SystemMode, err = modelfile.Mode(t); err != nil {
				x.SystemMode, x.Unknown = "", t // said by who uses it
				continue
			}
			x.Template = t
		case ollamastore.SystemType:
			x.System = t
		case ollamastore.LicenseType:
			x.Licenses = append(x.Licenses, t)
		case ollamastore.ParamsType:
			if x.Parameters, x.Ignored, err = modelfile.FromLayer(t); err != nil {
				return nil, err
			}
		case ollamastore.MessagesType:
			if err := json.Unmarshal([]byte(t), &x.Messages); err != nil {
				return nil, fmt.Errorf("messages layer: %w", err)
			}
			for _, m := range x.Messages {
				if m.Role != "system" && m.Role != "user" && m.Role != "assistant" {
					return nil, fmt.Errorf("messages layer: want the role system, user or assistant, found %.40q", m.Role)
				}
			}
		}
	}
	return x, nil
}

// Notices are what must be said of settings that can't be honoured, in words.
func (s *Settings) Notices() (notices []string) {
	if s.Unknown != "" {
		notices = append(notices, "its chat template is none that is known here for Gemma 2, so the one of the model's file is used")
	}
	if s.Ignored != nil {
		notices = append(notices, "its parameters "+strings.Join(s.Ignored, ", ")+" can't be honoured here")
	}
	return notices
}
