package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	hubsettings "github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// storeReport is what doctor says of the store of models and of the hub that fills it. No hub is asked.
type storeReport struct {
	Home      string           `json:"home"`
	Models    int              `json:"models"`
	Bytes     int64            `json:"bytes"`
	DiskFree  int64            `json:"disk_free"` // of the disk that holds Home; 0: not known
	Formats   formatReport     `json:"formats"`
	Leftovers int64            `json:"leftover_bytes"`
	NoTerms   []string         `json:"terms_not_accepted"` // pulled models whose terms nobody accepted here
	Terms     []models.Licence `json:"terms_accepted"`
	Endpoint  string           `json:"hub"`
	Cache     string           `json:"hub_cache"`
	TokenFrom string           `json:"token_from"` // "": no token
	Offline   string           `json:"offline,omitempty"`
	Problems  []string         `json:"problems,omitempty"`
}

func lookAtStore(env *Env) storeReport {
	r := storeReport{NoTerms: []string{}, Terms: []models.Licence{}}
	problem := func(err error) {
		if err != nil {
			r.Problems = append(r.Problems, err.Error())
		}
	}
	hub, err := hubsettings.FromEnv(func(k string) (string, bool) { v := env.getenv(k); return v, v != "" }, env.getenv("HOME"))
	problem(err)
	r.Endpoint, r.Cache, r.TokenFrom, r.Offline = hub.Endpoint, hub.Cache, hub.TokenFrom, hub.OfflineFrom
	store, err := env.store()
	if err != nil {
		problem(err)
		return r
	}
	r.Home = store.Home
	r.Terms = store.Licences()
	all, err := store.List()
	problem(err)
	for _, m := range all {
		r.Models++
		r.Bytes += m.Bytes
		if m.Origin != nil && m.Origin.Hub != "" && store.Licence(m.Origin.Source) == nil {
			r.NoTerms = append(r.NoTerms, m.ID())
		}
	}
	r.Formats = lookAtFormats(all)
	r.Problems = append(r.Problems, r.Formats.Unread...)
	left, err := store.Leftovers()
	problem(err)
	for _, l := range left {
		r.Leftovers += l.Bytes
	}
	at := store.Home
	for at != filepath.Dir(at) && !exists(at) { // the first pull makes it
		at = filepath.Dir(at)
	}
	if free, err := hfcache.FreeBytes(at); err == nil {
		r.DiskFree = free
	}
	if info, err := os.Stat(store.Home); err == nil && !info.IsDir() {
		problem(fmt.Errorf("%s: want a folder; set SYSTEMGEMMA_HOME to another one", store.Home))
	}
	return r
}

// twoB is the room that pulling the smallest model takes: its source and what is made of it.
const twoB = 8_000_000_000

func (r *storeReport) tell(b *strings.Builder) {
	field(b, "store", "%s: %d models, %s (SYSTEMGEMMA_HOME moves it)", r.Home, r.Models, size(r.Bytes))
	if r.Models > 0 {
		field(b, "format", "%s", r.Formats.String())
	}
	if r.Leftovers > 0 {
		field(b, "leftovers", "%s of interrupted work; systemgemma pull goes on with it, systemgemma prune removes it", size(r.Leftovers))
	}
	switch {
	case r.DiskFree == 0:
		field(b, "disk", "not known on this system")
	case r.DiskFree < twoB:
		field(b, "disk", "%s free: pulling 2b takes about %s; make room, or set SYSTEMGEMMA_HOME and HF_HOME to another disk", size(r.DiskFree), size(twoB))
	default:
		field(b, "disk", "%s free", size(r.DiskFree))
	}
	offline := ""
	if r.Offline != "" {
		offline = "; " + r.Offline + " is set: it is not asked"
	}
	field(b, "hub", "%s, cache %s%s", r.Endpoint, r.Cache, offline)
	if r.TokenFrom != "" {
		field(b, "token", "from %s", r.TokenFrom)
	} else {
		field(b, "token", "none: gated models, as Google's, need one (make it at %s/settings/tokens, then set HF_TOKEN)", r.Endpoint)
	}
	var accepted []string
	for _, l := range r.Terms {
		accepted = append(accepted, l.Model+" ("+l.Date.Format(time.DateOnly)+")")
	}
	if accepted != nil {
		field(b, "terms", "accepted: %s", strings.Join(accepted, ", "))
	} else {
		field(b, "terms", "none accepted here yet: systemgemma pull shows them and asks")
	}
	for _, id := range r.NoTerms {
		field(b, "terms", "%s: not accepted here; systemgemma pull asks for them", id)
	}
	for _, p := range r.Problems {
		field(b, "problem", "%s", p)
	}
}
