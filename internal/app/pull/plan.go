// Package pull owns how a model gets from a hub, an address or a file into the store: what is fetched, into what it is converted, and
// what is left of the source.
//
// It must not know how a command talks to its user, nor how bytes travel (package hub) or weights are rounded (the library).
package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// Source is the type that converts nothing: the files stay as they are, in the hub's cache.
const Source = "source"

// Puller gets models from one hub into one store.
type Puller struct {
	Client *hub.Client
	Store  models.Store

	Threads   int                               // that convert; 0 is all processors
	Progress  func(systemgemma.ConvertProgress) // of converting; may be nil
	Measuring func(done, total int)             // how far the quality report is; may be nil
	Notice    func(string)                      // what is worth a line; may be nil
}

func (p *Puller) notice(format string, args ...any) {
	if p.Notice != nil {
		p.Notice(fmt.Sprintf(format, args...))
	}
}

// Request asks for a model.
type Request struct {
	Name       names.Name // of kind Hub
	Type       string     // to convert to; "" is the default for safetensors and nothing for GGUF; Source converts nothing
	KeepSource bool       // keep the fetched weights in the hub's cache
	DryRun     bool       // write nothing at all
}

// Plan says what a pull will do.
type Plan struct {
	Repo     string                `json:"repo"`
	Revision string                `json:"revision"`
	Commit   string                `json:"commit"`
	Type     string                `json:"type"`
	Target   string                `json:"target,omitempty"` // file in the store; "": the files stay in the hub's cache
	Here     bool                  `json:"here"`             // Target is there already
	Files    []File                `json:"files"`
	Bytes    int64                 `json:"bytes"` // of all files
	Fetch    int64                 `json:"fetch"` // of those that are not here
	Room     int64                 `json:"room"`  // what Target will take, about
	Forecast *systemgemma.Forecast `json:"forecast,omitempty"`
	// Away is why the hub could not be asked, where what is known from before will do; Date is when that was asked.
	Away error     `json:"-"`
	Date time.Time `json:"-"`

	request Request
	gguf    string // the GGUF file in the repository; "": safetensors
}

// File is a file of a repository.
type File struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	Here bool   `json:"here"`

	etag string
}

// beside are the small files that a model needs or that belong to it.
var beside = []string{
	"config.json", "generation_config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
	"special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json", "README.md",
}

func isLicence(name string) bool {
	for _, prefix := range []string{"license", "licence", "notice"} {
		if rest, ok := strings.CutPrefix(strings.ToLower(name), prefix); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

// Plan asks the hub what a model is. Nothing is fetched but its configuration.
func (p *Puller) Plan(ctx context.Context, r Request) (*Plan, error) {
	if err := models.CheckName(r.Name.Repo); err != nil {
		return nil, err
	}
	if r.Type != "" && r.Type != Source && !slices.Contains(systemgemma.WeightTypes(), r.Type) {
		return nil, fmt.Errorf("type: want %s, or one of %s; found %q", Source, strings.Join(systemgemma.WeightTypes(), ", "), r.Type)
	}
	x := &Plan{Repo: r.Name.Repo, Revision: r.Name.Revision, request: r}
	if x.Revision == "" {
		x.Revision = "main"
	}
	listing, err := p.Client.List(ctx, hub.SnapshotRequest{Repo: hub.Repo{ID: x.Repo}, Revision: x.Revision, Plan: r.DryRun})
	if offline, ok := errors.AsType[*hub.OfflineError](err); ok || wire.Away(err) {
		if ok {
			err = offline
		}
		return p.fromBefore(x, err)
	}
	if err != nil {
		return nil, err
	}
	x.Commit = listing.Commit
	if err := x.choose(listing.Files, p.cached(x)); err != nil {
		return nil, err
	}
	p.settle(x)
	if x.gguf == "" {
		return x, p.forecast(ctx, x)
	}
	return x, nil
}

// cached tells of a file whether its bytes are in the hub's cache.
func (p *Puller) cached(x *Plan) func(hfcache.TreeFile) bool {
	repo := p.Client.Cache().Repo("model", x.Repo)
	return func(f hfcache.TreeFile) bool {
		_, ok := repo.Has(x.Commit, f.Path)
		return ok || names.IsEtag(f.Etag()) && repo.HasBlob(f.Etag())
	}
}

// choose picks the files that are wanted and what becomes of them.
func (x *Plan) choose(all []hfcache.TreeFile, here func(hfcache.TreeFile) bool) error {
	name := x.request.Name
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b hfcache.TreeFile) int { return strings.Compare(a.Path, b.Path) })
	var weights, ggufs, chosen []hfcache.TreeFile
	for _, f := range all {
		switch {
		case strings.HasSuffix(f.Path, ".gguf"):
			ggufs = append(ggufs, f)
		case !strings.Contains(f.Path, "/") && strings.HasSuffix(f.Path, ".safetensors") && !strings.HasPrefix(f.Path, "adapter"):
			weights = append(weights, f)
		case slices.Contains(beside, f.Path), !strings.Contains(f.Path, "/") && isLicence(f.Path):
			chosen = append(chosen, f)
		}
	}
	switch {
	case name.File != "":
		i := slices.IndexFunc(ggufs, func(f hfcache.TreeFile) bool { return f.Path == name.File })
		if i < 0 {
			return fmt.Errorf("%s has no GGUF file %q at %s; it has %s", x.Repo, name.File, x.Revision, listed(ggufs))
		}
		ggufs = ggufs[i : i+1]
	case name.Quant != "":
		var err error
		if ggufs, err = hub.PickGGUF(ggufs, name.Quant); err != nil {
			return err
		}
	case len(weights) > 0:
		ggufs = nil
	case len(ggufs) > 1:
		return fmt.Errorf("%s has several models: %s; name one, as in %s/%s", x.Repo, listed(ggufs), x.Repo, ggufs[0].Path)
	case len(ggufs) == 0:
		return fmt.Errorf("%s at %s has neither safetensors nor a GGUF file, which are what can be run; pickled weights (.bin, .pt) are not read",
			x.Repo, x.Revision)
	}
	if len(ggufs) > 1 {
		return fmt.Errorf("%s is split into %d files, of which no single model can be made; take another type, or the safetensors", name.Quant, len(ggufs))
	}
	if ggufs != nil {
		x.gguf = ggufs[0].Path
		chosen = slices.DeleteFunc(chosen, func(f hfcache.TreeFile) bool { return !isLicence(f.Path) })
		chosen = append(chosen, ggufs[0])
	} else {
		chosen = append(chosen, weights...)
	}
	for _, f := range chosen {
		if err := names.File(f.Path); err != nil {
			return err
		}
		file := File{Name: f.Path, Size: f.Size, Here: here(f), etag: f.Etag()}
		x.Files = append(x.Files, file)
		x.Bytes += max(f.Size, 0)
		if !file.Here {
			x.Fetch += max(f.Size, 0)
		}
	}
	return nil
}

func listed(files []hfcache.TreeFile) string {
	if len(files) == 0 {
		return "none"
	}
	var all []string
	for _, f := range files[:min(len(files), 20)] {
		all = append(all, fmt.Sprintf("%q", f.Path))
	}
	return strings.Join(all, ", ")
}

// settle names the target, once the type is known.
func (p *Puller) settle(x *Plan) {
	x.Type = x.request.Type
	switch {
	case x.Type == Source && x.gguf == "":
		return
	case x.gguf != "" && (x.Type == "" || x.Type == Source):
		x.Type = ggufType(path.Base(x.Repo), x.gguf)
		x.Room = x.Files[len(x.Files)-1].Size
	case x.Type == "":
		x.Type = systemgemma.DefaultType
	}
	typ := x.Type
	if x.gguf != "" && x.converts() {
		typ = ggufType(path.Base(x.Repo), x.gguf) + "-" + typ // several files of a repository may be converted
	}
	x.Target = p.Store.Path(x.Repo, models.FileName(x.Repo, typ, models.Version(x.Commit, time.Time{})))
	_, err := os.Stat(x.Target)
	x.Here = err == nil
}

// converts tells whether the source is converted.
func (x *Plan) converts() bool {
	return x.request.Type != Source && (x.gguf == "" || x.request.Type != "")
}

// ggufType names a GGUF file of a repository in the store: what its name says beyond the repository's.
func ggufType(repo, file string) string {
	stem := strings.TrimSuffix(strings.ReplaceAll(file, "/", "-"), ".gguf")
	base := strings.TrimSuffix(strings.TrimSuffix(repo, "-GGUF"), "-gguf")
	if len(stem) > len(base)+1 && strings.EqualFold(stem[:len(base)], base) && strings.ContainsRune("-.", rune(stem[len(base)])) {
		return stem[len(base)+1:]
	}
	return stem
}

// forecast reads the configuration: a model that can't be run, or one that the hub refuses, is known before any large file.
func (p *Puller) forecast(ctx context.Context, x *Plan) error {
	const config = "config.json"
	if !slices.ContainsFunc(x.Files, func(f File) bool { return f.Name == config }) {
		return fmt.Errorf("%s at %s has no %s: it is no model that can be run", x.Repo, x.Revision, config)
	}
	source, _, err := p.Client.OpenSource(ctx, hub.SnapshotRequest{
		Repo: hub.Repo{ID: x.Repo}, Revision: x.Commit, Allow: []string{config}, Plan: x.request.DryRun,
	})
	if err != nil {
		return err
	}
	r, err := source.Open(ctx, config, 0)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return err
	}
	return x.foresee(text)
}

func (x *Plan) foresee(config []byte) error {
	typ := x.request.Type
	if typ == Source {
		typ = "bf16"
	}
	f, err := systemgemma.ForecastConvert(config, typ)
	if err != nil {
		return fmt.Errorf("%s: %w", x.Repo, err)
	}
	x.Forecast = &f
	if x.converts() {
		x.Room = f.WeightBytes
	}
	return nil
}

// fromBefore plans with what is known of a repository while its hub is away: a model that was made of the last known commit, or a source
// that is whole.
func (p *Puller) fromBefore(x *Plan, away error) (*Plan, error) {
	repo := p.Client.Cache().Repo("model", x.Repo)
	x.Away = away
	x.Commit = x.Revision
	if !names.IsCommit(x.Revision) {
		known := p.Store.Pull(x.Repo).Commits[x.Revision]
		x.Commit, x.Date = known.Commit, known.Date
		if x.Commit == "" {
			x.Commit = repo.Ref(x.Revision)
		}
	}
	if x.Commit == "" {
		return nil, fmt.Errorf("%s was never pulled here, and the hub can't be asked: %w", x.Repo, away)
	}
	files, ok := repo.Tree(x.Commit)
	if ok {
		if err := x.choose(files, p.cached(x)); err != nil {
			return nil, err
		}
	}
	if p.settle(x); x.Here {
		return x, nil
	}
	if !ok {
		return nil, fmt.Errorf("%s at %s is not here, nor is the list of its files: %w", x.Repo, x.Commit, away)
	}
	var missing []string
	for _, f := range x.Files {
		if !f.Here {
			missing = append(missing, f.Name)
		}
	}
	if missing != nil {
		return nil, fmt.Errorf("%s at %s is incomplete (%s missing), and the hub can't be asked; systemgemma pull %s goes on when it can: %w",
			x.Repo, x.Commit[:8], strings.Join(missing, ", "), x.Repo, away)
	}
	config, ok := repo.Has(x.Commit, "config.json")
	if x.gguf == "" && ok {
		text, err := os.ReadFile(config)
		if err != nil {
			return nil, err
		}
		return x, x.foresee(text)
	}
	return x, nil
}
