package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// RegistryPuller gets one model from an Ollama registry, into our store or into an Ollama store.
type RegistryPuller struct {
	Client *registry.Client
	Store  models.Store
	Type   string             // to convert to; "" and Source convert nothing
	Ollama *ollamastore.Store // fetch into this store as Ollama does, instead of ours; nil: ours

	Threads  int                               // that convert; 0 is all processors
	Progress func(systemgemma.ConvertProgress) // of converting; may be nil
	Notice   func(string)                      // what is worth a line; may be nil
	Stage    func(string)                      // told StageVerify and StageWrite when their time has come; may be nil
}

// What is done with the layers once all are here, in the words that clients of Ollama know.
const (
	StageVerify = "verifying sha256 digest" // each layer had its hash; is it a model?
	StageWrite  = "writing manifest"        // it gets its name
)

// RegistryPlan says what a pull from a registry will do.
type RegistryPlan struct {
	Model    string `json:"model"` // as the registry calls it
	Registry string `json:"registry"`
	Digest   string `json:"digest"` // of the manifest, hexadecimal
	Name     string `json:"name"`   // in our store
	Target   string `json:"target"` // the model's file, or the manifest in an Ollama store
	Here     bool   `json:"here"`   // Target is there already
	Files    []File `json:"files"`  // layers
	Bytes    int64  `json:"bytes"`  // of all layers
	Fetch    int64  `json:"fetch"`  // of those that are not here
	// Away is why the registry could not be asked, where the model of before will do.
	Away error `json:"-"`

	Settings models.Settings `json:"-"`
	manifest *ollamastore.Manifest
	weights  ollamastore.Layer
}

func (p *RegistryPuller) notice(format string, args ...any) {
	if p.Notice != nil {
		p.Notice(fmt.Sprintf(format, args...))
	}
}

func (p *RegistryPuller) stage(name string) {
	if p.Stage != nil {
		p.Stage(name)
	}
}

// Layers are what the model is made of; none while the registry is away.
func (x *RegistryPlan) Layers() []ollamastore.Layer {
	if x.manifest == nil {
		return nil
	}
	return x.manifest.All()
}

// Plan asks the registry what the model is. Only its small layers are fetched, and nothing is written.
func (p *RegistryPuller) Plan(ctx context.Context) (*RegistryPlan, error) {
	n := p.Client.Name
	x := &RegistryPlan{Model: n.String(), Registry: p.Client.URL(), Name: models.OllamaName(n)}
	if err := models.CheckName(x.Name); p.Ollama == nil && err != nil {
		return nil, err
	}
	if p.Ollama != nil {
		if err := ollamastore.Holds(n); err != nil {
			return nil, err // before anything is fetched
		}
	}
	if p.Type != "" && p.Type != Source && !slices.Contains(systemgemma.WeightTypes(), p.Type) {
		return nil, fmt.Errorf("type: want %s, or one of %s; found %q", Source, strings.Join(systemgemma.WeightTypes(), ", "), p.Type)
	}
	var err error
	if x.manifest, x.Digest, err = p.Client.Manifest(ctx); err != nil {
		if wire.Away(err) && p.Ollama == nil {
			return p.fromBefore(x, err)
		}
		return nil, err
	}
	weights := x.manifest.Of(ollamastore.ModelType)
	if len(weights) != 1 {
		return nil, fmt.Errorf("%s has %d layers of weights; want one", n, len(weights))
	}
	x.weights = weights[0]
	if err := p.look(ctx, x); err != nil {
		return nil, err
	}
	for _, l := range x.manifest.All() {
		f := File{Name: l.Kind() + " " + l.Digest.Hex()[:12], Size: l.Size}
		if p.Ollama != nil {
			_, err := os.Stat(p.Ollama.BlobPath(l.Digest))
			f.Here = err == nil
		}
		x.Files = append(x.Files, f)
		x.Bytes += l.Size
		if !f.Here {
			x.Fetch += l.Size
		}
	}
	if p.Ollama != nil {
		x.Target = p.Ollama.ManifestPath(n)
		return x, nil
	}
	typ := n.Tag
	if p.converts() {
		typ += "-" + p.Type
	}
	x.Target = p.Store.Path(x.Name, models.FileName(x.Name, typ, x.Digest[:8]))
	if _, err := os.Stat(x.Target); err == nil {
		x.Here, x.Fetch = true, 0
		for i := range x.Files {
			x.Files[i].Here = true
		}
	}
	return x, nil
}

func (p *RegistryPuller) converts() bool { return p.Type != "" && p.Type != Source }

// look reads the small layers: a model of another kind, and what can't be honoured, is known before any large one.
func (p *RegistryPuller) look(ctx context.Context, x *RegistryPlan) error {
	if x.manifest.Config.Digest != "" {
		text, err := p.Client.Text(ctx, x.manifest.Config)
		if err != nil {
			return err
		}
		var c ollamastore.Config
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			return fmt.Errorf("%s: config layer: %w", x.Model, err)
		}
		if c.ModelFamily != "" && c.ModelFamily != "gemma2" {
			return fmt.Errorf("%s is a model of the kind %q; want gemma2", x.Model, c.ModelFamily)
		}
	}
	s, err := models.FromLayers(x.manifest, func(l ollamastore.Layer) (string, error) { return p.Client.Text(ctx, l) }, p.adapterPath(x))
	if err != nil {
		return fmt.Errorf("%s: %w", x.Model, err)
	}
	s.From = models.OllamaOrigin(p.Client.Name)
	x.Settings = *s
	return nil
}

// adapterPath is where an adapter is fetched to.
func (p *RegistryPuller) adapterPath(x *RegistryPlan) func(ollamastore.Layer) string {
	return func(l ollamastore.Layer) string { return p.fetched(x, l) }
}

// fetched is where a large layer lies until the model is whole: under no name of a model.
func (p *RegistryPuller) fetched(x *RegistryPlan, l ollamastore.Layer) string {
	return filepath.Join(filepath.Dir(p.Store.Path(x.Name, "x")), "."+l.Digest.File()+".gguf")
}

// fromBefore plans with what is here of a model while its registry is away.
func (p *RegistryPuller) fromBefore(x *RegistryPlan, away error) (*RegistryPlan, error) {
	all, err := p.Store.Find(models.OllamaOrigin(p.Client.Name))
	if err != nil {
		return nil, fmt.Errorf("%s was never pulled here, and its registry can't be asked: %w", x.Model, away)
	}
	x.Away, x.Here, x.Target = away, true, all[0].Path
	return x, nil
}

// Run carries out a plan.
func (p *RegistryPuller) Run(ctx context.Context, x *RegistryPlan) (Result, error) {
	r := Result{Path: x.Target, Commit: x.Digest, Here: x.Here}
	if p.Ollama != nil {
		r.Fetched = x.Fetch
		return r, p.Client.PullManifest(ctx, *p.Ollama, x.manifest)
	}
	if x.Away != nil {
		return r, nil
	}
	unlock, err := p.Store.Lock(ctx, x.Name, func(holder string) { p.notice("another process (%s) works on %s; waiting for it", holder, x.Name) })
	if err != nil {
		return r, err
	}
	defer unlock()
	if _, err := os.Stat(x.Target); err == nil {
		r.Here = true
		return r, nil
	}
	r.Here = false
	return r, p.make(ctx, x, &r)
}

func (p *RegistryPuller) make(ctx context.Context, x *RegistryPlan, r *Result) error {
	dir := filepath.Dir(x.Target)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	large := append([]ollamastore.Layer{x.weights}, x.manifest.Of(ollamastore.AdapterType)...)
	var need int64
	for _, l := range large {
		need += l.Size
		if p.converts() {
			need += l.Size
		}
		if info, err := os.Stat(p.fetched(x, l)); err == nil {
			need -= info.Size()
		}
	}
	if err := p.Client.Room(dir, need); err != nil {
		return err
	}
	for _, l := range large {
		if err := p.Client.Blob(ctx, l, p.fetched(x, l)); err != nil {
			return err
		}
		if info, err := os.Stat(p.fetched(x, l)); err == nil {
			r.Fetched += info.Size()
		}
	}
	weights := p.fetched(x, x.weights)
	p.stage(StageVerify)
	if _, err := systemgemma.Describe(weights, nil); err != nil {
		return fmt.Errorf("what %s gave is no model that can be run: %w", x.Registry, err)
	}
	p.stage(StageWrite)
	o := models.Origin{Source: models.OllamaOrigin(p.Client.Name), Hub: x.Registry, Revision: p.Client.Name.Tag, Made: time.Now().UTC().Truncate(time.Second)}
	if !p.converts() {
		o.SHA256 = x.weights.Digest.Hex()
	}
	err := p.Store.Make(ctx, x.Target, o, x.Settings, func() error {
		if !p.converts() {
			return models.Place(ctx, weights, x.Target)
		}
		_, err := systemgemma.Convert(ctx, weights, &systemgemma.ConvertOptions{
			Output: x.Target, Types: []string{p.Type}, Name: x.Name, Threads: p.Threads, Progress: p.Progress, Warn: p.Notice,
		})
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range large {
		if err := os.Remove(p.fetched(x, l)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Licence is the text of the model's licences, "" if it brings none.
func (x *RegistryPlan) Licence() string { return strings.Join(x.Settings.Licenses, "\n\n") }
