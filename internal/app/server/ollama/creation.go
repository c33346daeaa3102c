package ollama

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// creation is a model that is being made.
type creation struct {
	*teller
	d        *dialect
	name     string          // in our store
	says     *modelfile.File // what it carries otherwise than its source
	quantize string          // type of weights; "": that of the source

	source  string // path of a file or folder, or mini
	typ     string // kind of weights, as its file's name has it
	version string
	convert bool
	carried *models.Settings
	origin  models.Origin
	uploads []string // blobs that it is made of
	folders []func() // remove folders of ours
}

// clear removes what was made on the way.
func (c *creation) clear() {
	for _, remove := range c.folders {
		remove()
	}
}

func (c *creation) today() string { return models.Version("", c.now()) }

// ofModel takes a model that is here as the source.
func (c *creation) ofModel(e *hosted.Entry) error {
	c.source, c.typ, c.version, c.carried = e.Path, systemgemma.DefaultType, c.today(), &models.Settings{}
	c.origin = models.Origin{Source: e.Name, Made: c.now().UTC().Truncate(time.Second)}
	switch m := e.Stored; {
	case m != nil:
		store, err := c.d.store()
		if err != nil {
			return err
		}
		if c.carried, err = store.Settings(m); err != nil {
			return err
		}
		c.origin.Source = m.Name
		if c.quantize != "" {
			break
		}
		if c.typ, c.version = m.Type, m.Commit; c.typ == "" {
			c.typ, c.version = "gguf", c.today()
		}
		if m.Origin != nil {
			c.origin = *m.Origin
		}
	case e.Path == systemgemma.Mini:
		c.convert, c.carried.From, c.origin.Source = true, systemgemma.Mini, systemgemma.Mini
	default:
		return problem.Invalid("from", "%s is not in the server's folder of models; /api/copy gives it a second name", e.Name)
	}
	c.quantized()
	return nil
}

// quantized makes the new model one of the type that is wanted.
func (c *creation) quantized() {
	if c.quantize != "" {
		c.typ, c.convert = c.quantize, true
	}
}

// ofFiles takes uploads as the source: one GGUF file, or the files of a safetensors model.
func (c *creation) ofFiles(ctx context.Context, files *option.Fields) error {
	blobs, err := c.uploaded(files, "files")
	if err != nil {
		return err
	}
	c.version, c.carried = c.today(), &models.Settings{}
	c.origin = models.Origin{Source: "upload", Made: c.now().UTC().Truncate(time.Second)}
	found := slices.Sorted(maps.Keys(blobs))
	switch weights := func(name string) bool { return strings.HasSuffix(name, ".safetensors") }; {
	case len(found) == 1 && strings.HasSuffix(found[0], ".gguf"):
		c.source, c.typ = blobs[found[0]], "gguf"
		if c.quantize == "" {
			c.origin.SHA256 = strings.TrimPrefix(filepath.Base(c.source), "sha256-")
		}
	case slices.ContainsFunc(found, weights):
		if c.source, err = c.folder(ctx, blobs); err != nil {
			return err
		}
		c.typ, c.convert = systemgemma.DefaultType, true
	default:
		return problem.Invalid("files", "want one .gguf file, or .safetensors with config.json and the tokenizer's files, found %d: %.80s", len(found), strings.Join(found, ", "))
	}
	if info, err := systemgemma.Describe(c.source, nil); err != nil || info.Config == nil {
		return problem.Invalid("files", "%.80s is no model that can be run: want a GGUF file of Gemma 2, or the files of one in safetensors", strings.Join(found, ", "))
	}
	c.quantized()
	return nil
}

// maxFiles bounds the files of a model.
const maxFiles = 1000

// uploaded reads a map of file names to digests of blobs, which must be here: their paths by the names' last parts.
func (c *creation) uploaded(f *option.Fields, field string) (map[string]string, error) {
	blobs := map[string]string{}
	list := f.Rest()
	if len(list) > maxFiles {
		return nil, problem.Invalid(field, "want at most %d files, found %d", maxFiles, len(list))
	}
	for _, name := range list {
		digest, _, err := f.Text(name)
		if err != nil {
			return nil, err
		}
		if err := names.File(name); err != nil {
			return nil, problem.Invalid(field, "%v", err)
		}
		at, err := c.d.blobPath(digest)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(at); err != nil || !info.Mode().IsRegular() {
			return nil, problem.Invalid(field, "%.80s: no such blob is here; bring it by POST /api/blobs/%s", name, digest)
		}
		base := path.Base(strings.ReplaceAll(name, `\`, "/"))
		if _, twice := blobs[base]; twice {
			return nil, problem.Invalid(field, "want files of different names, found %.80q twice", base)
		}
		blobs[base] = at
		c.uploads = append(c.uploads, at)
	}
	return blobs, nil
}

// folder lays uploads out under their names.
func (c *creation) folder(ctx context.Context, blobs map[string]string) (string, error) {
	store, err := c.d.store()
	if err != nil {
		return "", err
	}
	dir, remove, err := store.WorkFolder(ctx)
	if err != nil {
		return "", err
	}
	c.folders = append(c.folders, remove)
	for name, at := range blobs {
		if err := models.Place(ctx, at, filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// adapt adds uploads as an adapter, and sees that it fits the source: each GGUF file is one, the files of a PEFT adapter are one together.
func (c *creation) adapt(ctx context.Context, f *option.Fields) error {
	if f == nil || len(f.Rest()) == 0 {
		return nil
	}
	blobs, err := c.uploaded(f, "adapters")
	if err != nil {
		return err
	}
	peft := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(blobs)) {
		switch {
		case strings.HasSuffix(name, ".gguf"):
			c.says.Adapters = append(c.says.Adapters, blobs[name])
		case strings.HasPrefix(name, "adapter_"):
			peft[name] = blobs[name]
		default:
			return problem.Invalid("adapters", "want a .gguf file, or adapter_config.json and adapter_model.safetensors, found %.80q", name)
		}
	}
	if len(peft) > 0 {
		dir, err := c.folder(ctx, peft)
		if err != nil {
			return err
		}
		c.says.Adapters = append(c.says.Adapters, dir)
	}
	var all []systemgemma.AdapterFile
	for _, a := range c.says.Adapters {
		all = append(all, systemgemma.AdapterFile{Path: a, Scale: 1})
	}
	plan := &systemgemma.ConvertOptions{Adapters: all, To: systemgemma.FormatSafetensors, Output: filepath.Join(filepath.Dir(c.uploads[0]), "plan")}
	if _, err := systemgemma.PlanConvert(ctx, c.source, plan); err != nil {
		return problem.Invalid("adapters", "%v", err)
	}
	return nil
}

// make makes the model, in the place of the one that its name meant, and removes the uploads that it was made of.
func (c *creation) make(ctx context.Context) error {
	store, err := c.d.store()
	if err != nil {
		return err
	}
	if err := c.carried.Change(c.says); err != nil {
		return problem.Invalid("parameters", "%v", err)
	}
	if err := c.place(ctx, store); err != nil {
		return err
	}
	for _, at := range c.uploads {
		if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// place makes the file, under its model's lock. The one that the name meant answers until the new one is whole.
func (c *creation) place(ctx context.Context, store *models.Store) error {
	unlock, err := store.Lock(ctx, c.name, nil)
	if err != nil {
		return err
	}
	defer unlock()
	old, rest, err := meant(store, c.name)
	if err != nil {
		return err
	}
	to := store.NewPath(c.name, c.typ, c.version)
	err = store.Make(ctx, to, c.origin, *c.carried, func() error {
		if c.convert {
			return c.transform(ctx, to)
		}
		if info, err := os.Stat(c.source); err == nil && info.ModTime().After(rest) {
			return models.Place(ctx, c.source, to)
		}
		return models.Copy(ctx, c.source, to) // a link would be older than another file of that name, which the name would mean then
	})
	if err != nil {
		return err
	}
	set := c.d.server.Models()
	if set.Changed(); old == nil {
		return nil
	}
	made, err := store.At(to)
	if err != nil {
		return err
	}
	err = store.Discard(old)
	set.Replaced(old.Path, made)
	if err != nil {
		err = store.Discard(old) // some systems remove no file that is open
	}
	if err != nil {
		c.note(fmt.Sprintf("what %s was before could not be removed (%v); /api/delete removes %s", c.name, err, old.ID()))
	}
	return nil
}

// meant is the file of our store that a model's name means, nil if there is none, and when the newest of the others was changed.
func meant(store *models.Store, name string) (old *models.Model, rest time.Time, err error) {
	all, err := store.Find(name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, rest, nil
	}
	for i := range all {
		switch m := &all[i]; {
		case i == 0 && m.Name == name && m.Ollama == nil && !m.ReadOnly:
			old = m
		case m.Changed.After(rest):
			rest = m.Changed
		}
	}
	return old, rest, err
}

// transform converts the source.
func (c *creation) transform(ctx context.Context, to string) error {
	doing := "converting model"
	if c.quantize != "" {
		doing = "quantizing model to " + c.quantize
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	_, err := systemgemma.Convert(ctx, c.source, &systemgemma.ConvertOptions{
		Output: to, Types: []string{c.typ}, Name: c.name, NoReport: true, Warn: c.note,
		Progress: func(p systemgemma.ConvertProgress) {
			c.progress(status{Status: doing, Digest: "weights", Total: p.Total, Completed: p.Done})
		},
	})
	if errors.Is(err, systemgemma.ErrNonFiniteWeight) || errors.Is(err, systemgemma.ErrUnknownTensor) {
		err = problem.Invalid("files", "%v", err)
	}
	if errors.Is(err, systemgemma.ErrNoSpace) {
		err = problem.New(http.StatusInsufficientStorage, "", "%v", err)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", c.name, err)
	}
	return nil
}
