package ollama

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// store is where models are kept.
func (d *dialect) store() (*models.Store, error) {
	if s := d.server.Models().Store(); s != nil {
		return s, nil
	}
	return nil, problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "this server keeps no models: it has no folder for them")
}

// localName is a name of ours for a new model: that of the request, without Ollama's tag.
func localName(name string) (string, error) {
	name = strings.TrimSuffix(name, ":latest")
	if !strings.Contains(name, "/") {
		name = "local/" + name
	}
	return name, models.CheckName(name)
}

// noted is an answer that has nothing to say but warnings.
func noted(w http.ResponseWriter, warnings ...string) error {
	x := map[string]any{"status": "success"}
	if len(warnings) > 0 {
		x["systemgemma"] = extension{Warnings: warnings}
	}
	return server.Reply(w, http.StatusOK, x)
}

// copy answers POST /api/copy. A model of the store gets a second file, which shares its bytes where the file system can; one that is not
// of the store, or a name that no file can have, an alias, until the server ends.
func (d *dialect) copy(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	source, _, err := f.Text("source")
	if err != nil {
		return err
	}
	to, _, err := f.Text("destination")
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	if source == "" || to == "" {
		return f.Invalid("", "want source and destination, names of models")
	}
	e, err := d.server.Models().Find(source)
	if err != nil {
		return err
	}
	if name, err := localName(to); err == nil && e.Stored != nil {
		alias, err := d.usable(to, name)
		if err != nil {
			return err
		}
		c := &creation{teller: &teller{send: func(status) {}, now: d.now}, d: d, name: name, says: &modelfile.File{}}
		if err := c.ofModel(&e); err != nil {
			return err
		}
		if err := c.make(r.Context()); err != nil {
			return err
		}
		if alias {
			if err := d.server.Models().SetAlias(to, ""); err != nil {
				return err
			}
		}
		return noted(w)
	}
	if err := d.server.Models().SetAlias(to, e.Name); err != nil {
		return err
	}
	return noted(w, fmt.Sprintf("%s is a name of %s until the server ends; systemgemma serve --alias %s=%s keeps it", to, e.Name, to, e.Name))
}

// usable sees that a new model of the store can be asked for by the name that a request gives it, own in the store: nothing that stays here may
// have that name. alias says that it is one, which is in the way of the new model.
func (d *dialect) usable(name, own string) (alias bool, err error) {
	bare := strings.TrimSuffix(name, ":latest")
	if row, short := names.Lookup(bare); short {
		return false, problem.Invalid("model", "%s is a short name of %s; want another name", bare, row.Repo)
	}
	e, err := d.server.Models().Find(name)
	if e.Name == "" { // none of that name, or several
		if p := problem.Of(err); p.Code == problem.CodeNoModel {
			err = nil
		}
		return false, err
	}
	if alias, err = d.isAlias(e, name); alias || err != nil {
		return alias, err
	}
	switch {
	case e.Stored == nil:
		return false, problem.Invalid("model", "%s was given to systemgemma serve, or is part of it; want another name", bare)
	case e.Stored.Name != own:
		return false, problem.Invalid("model", "%s is a name of %s here; want OWNER/NAME", bare, e.Stored.ID())
	}
	return false, nil
}

// delete answers DELETE /api/delete: an alias, or a model of the store.
func (d *dialect) delete(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	name, err := wanted(f)
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	set := d.server.Models()
	e, err := set.Find(name)
	if err != nil && e.Name == "" {
		return err
	}
	if alias, err := d.isAlias(e, name); err != nil {
		return err
	} else if alias {
		if err := set.SetAlias(name, ""); err != nil {
			return err
		}
		return noted(w)
	}
	if e.Stored == nil {
		return problem.Invalid("model", "%s was given to systemgemma serve, or is part of it; only models of its folder can be deleted", name)
	}
	store, err := d.store()
	if err != nil {
		return err
	}
	all, err := store.Find(e.Stored.ID())
	if bare := strings.TrimSuffix(name, ":latest"); err == nil && !strings.Contains(bare, ":") {
		all, err = store.Find(bare)
	}
	if err != nil {
		return err
	}
	if len(all) > 1 {
		return problem.Invalid("model", "%v", models.Ambiguous(name, all))
	}
	if all[0].ReadOnly {
		return problem.New(http.StatusForbidden, "", "model %s belongs to the system: only its owner may remove it", name)
	}
	set.Removed(all[0].Path) // before: some systems remove no file that is open
	if err := store.Remove(r.Context(), &all[0]); err != nil {
		return err
	}
	set.Removed(all[0].Path) // who opened it meanwhile
	set.Changed()
	return noted(w)
}

// isAlias tells whether a name is one that SetAlias gave.
func (d *dialect) isAlias(e hosted.Entry, name string) (bool, error) {
	list, err := d.server.Models().List()
	if err != nil {
		return false, err
	}
	for i := range list {
		for _, a := range list[i].Aliases {
			if list[i].Path == e.Path && a == strings.TrimSuffix(name, ":latest") {
				return true, nil
			}
		}
	}
	return false, nil
}

// blobs are files that clients bring, until a model is made of them.
func (d *dialect) blobs() (ollamastore.Store, error) {
	s, err := d.store()
	if err != nil {
		return ollamastore.Store{}, err
	}
	return ollamastore.Store{Dir: s.Uploads()}, nil
}

// digestOf is the digest in a request's path.
func digestOf(text string) (ollamastore.Digest, error) {
	x := ollamastore.Digest(text)
	if err := x.Check(); err != nil {
		return "", problem.Invalid("digest", "want sha256: and 64 hexadecimal digits, found %.80q", text)
	}
	return x, nil
}

// hasBlob answers HEAD /api/blobs/{digest}.
func (d *dialect) hasBlob(w http.ResponseWriter, r *http.Request) error {
	at, err := d.blobPath(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(at); err != nil {
		return problem.New(http.StatusNotFound, "", "no such blob is here")
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (d *dialect) blobPath(text string) (string, error) {
	digest, err := digestOf(text)
	if err != nil {
		return "", err
	}
	s, err := d.blobs()
	if err != nil {
		return "", err
	}
	return s.BlobPath(digest), nil
}

// putBlob answers POST /api/blobs/{digest}: a file whose hash is checked.
func (d *dialect) putBlob(w http.ResponseWriter, r *http.Request) error {
	digest, err := digestOf(r.PathValue("digest"))
	if err != nil {
		return err
	}
	s, err := d.blobs()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o777); err != nil {
		return err
	}
	most := int64(1) << 40
	if free, err := hfcache.FreeBytes(s.Dir); err == nil {
		most = max(0, free-reserve)
	}
	if r.ContentLength > most {
		return problem.New(http.StatusInsufficientStorage, "", "want a file of at most %d bytes, which is what the disk has room for, found %d", most, r.ContentLength)
	}
	_, err = s.PutBlob(http.MaxBytesReader(w, r.Body, most), digest)
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return problem.New(http.StatusInsufficientStorage, "", "want a file of at most %d bytes, which is what the disk has room for", most)
	case errors.As(err, new(*ollamastore.MismatchError)):
		return problem.Invalid("digest", "%v", err)
	case err != nil && r.Context().Err() == nil && !errors.As(err, new(*os.PathError)):
		return problem.New(http.StatusBadRequest, "", "the file could not be read: it was cut")
	case err != nil:
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// reserve is what uploads leave free of the disk, in bytes.
const reserve = 256 << 20
