package native

import (
	"math"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// maxLoaded bounds the adapters of a model, which keeps them until it is closed.
const maxLoaded = 64

// adapter is one as llama.cpp tells it.
type adapter struct {
	ID    int     `json:"id"`
	Path  string  `json:"path"`
	Scale float32 `json:"scale"` // of requests that name none
}

func adaptersOf(d *dialect, l *hosted.Lease) []adapter {
	list := []adapter{}
	for _, a := range l.Adapters() {
		list = append(list, adapter{a.ID, d.public(a.Path), a.Scale})
	}
	return list
}

// public is an adapter's path as requests name it: where the folder lies is nobody's business outside.
func (d *dialect) public(path string) string {
	if rel, err := filepath.Rel(d.Adapters, path); err == nil && d.Adapters != "" && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return filepath.Base(path)
}

// listAdapters answers GET /lora-adapters, of the model that ?model= names.
func (d *dialect) listAdapters(w http.ResponseWriter, r *http.Request) error {
	lease, err := d.server.Models().Acquire(r.Context(), r.URL.Query().Get("model"), nil)
	if err != nil {
		return err
	}
	defer lease.Release()
	return server.Reply(w, http.StatusOK, adaptersOf(d, lease))
}

// scaleAdapters answers POST /lora-adapters: a list of {"id", "scale"}; adapters that it lacks get 0. The model is ?model=.
func (d *dialect) scaleAdapters(w http.ResponseWriter, r *http.Request) error {
	list, _, err := readList(r)
	if err != nil {
		return err
	}
	if list == nil {
		return problem.Invalid("", "body: want a list of {id, scale}")
	}
	scales := map[int]float32{}
	for _, raw := range list {
		f, err := option.Of(raw, "adapter")
		if err != nil {
			return err
		}
		id, found, err := f.Int("id", 0, math.MaxInt32)
		if err == nil && !found {
			err = f.Invalid("id", "want the id of an adapter, found none")
		}
		if err != nil {
			return err
		}
		if _, twice := scales[id]; twice {
			return f.Invalid("id", "want each adapter once, found %d twice", id)
		}
		scale, found, err := f.Number("scale", -1000, 1000)
		if err == nil && !found {
			err = f.Invalid("scale", "want a number, found none")
		}
		if err != nil {
			return err
		}
		scales[id] = float32(scale)
		server.Unknown(r, f)
	}
	lease, err := d.server.Models().Acquire(r.Context(), r.URL.Query().Get("model"), nil)
	if err != nil {
		return err
	}
	defer lease.Release()
	if err := lease.SetScales(scales); err != nil {
		return err
	}
	return server.Reply(w, http.StatusOK, adaptersOf(d, lease))
}

// loadAdapter answers POST /lora-adapters/load: {"path", "scale", "model"}. The path is one below the folder of adapters. The model has the
// adapter until it is closed; one that it has already gets the scale.
func (d *dialect) loadAdapter(w http.ResponseWriter, r *http.Request) error {
	f, lease, err := d.open(r)
	if err != nil {
		return err
	}
	defer lease.Release()
	path, _, err := f.Text("path")
	if err != nil {
		return err
	}
	scale, given, err := f.Number("scale", -1000, 1000)
	if err != nil {
		return err
	}
	if !given {
		scale = 1
	}
	if d.Adapters == "" {
		return problem.New(http.StatusForbidden, "", "path: this server loads no adapters: it has no folder of models")
	}
	local := filepath.FromSlash(path)
	if path == "" || !filepath.IsLocal(local) || filepath.Clean(local) == "." {
		return f.Invalid("path", "want a path below the server's folder of adapters, found %.80q", path)
	}
	at := filepath.Join(d.Adapters, local)
	server.Unknown(r, f)
	for _, a := range lease.Adapters() {
		if a.Path != at {
			continue
		}
		scales := map[int]float32{}
		for _, o := range lease.Adapters() {
			scales[o.ID] = o.Scale
		}
		scales[a.ID] = float32(scale)
		if err := lease.SetScales(scales); err != nil {
			return err
		}
		return server.Reply(w, http.StatusOK, adapter{a.ID, d.public(at), float32(scale)})
	}
	if n := len(lease.Adapters()); n >= maxLoaded {
		return problem.Invalid("path", "want at most %d adapters of a model, found %d; they are freed when it is closed", maxLoaded, n)
	}
	a, err := lease.LoadAdapter(at, float32(scale))
	if err != nil {
		return problem.Invalid("path", "%s", strings.ReplaceAll(err.Error(), d.Adapters+string(filepath.Separator), ""))
	}
	return server.Reply(w, http.StatusOK, adapter{a.ID, d.public(a.Path), a.Scale})
}
