package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/testkit/scripted"
)

// recordedCase is one call of the reference client, as recorded.
type recordedCase struct {
	scripted.Case
	Client string
	Env    map[string]*string
	Patch  struct {
		Chunk int64 `json:"DOWNLOAD_CHUNK_SIZE"`
	}
	Call struct {
		Fn   string
		Args args
	}
	Result json.RawMessage
	Error  *struct {
		Type, Message string
		Status        int
		Cause         *struct{ Type, Message string }
	}
	Sleeps []float64
}

type args struct {
	RepoID     string `json:"repo_id"`
	RepoType   string `json:"repo_type"`
	Filename   string
	Revision   string
	Token      any
	LocalDir   string `json:"local_dir"`
	CacheDir   string `json:"cache_dir"`
	Endpoint   string
	Force      bool      `json:"force_download"`
	DryRun     bool      `json:"dry_run"`
	LocalOnly  bool      `json:"local_files_only"`
	Allow      oneOrMore `json:"allow_patterns"`
	Ignore     oneOrMore `json:"ignore_patterns"`
	Items      []string
	Expand     []string
	Sizes      bool     `json:"files_metadata"`
	Recursive  bool     `json:"recursive"`
	PathInRepo string   `json:"path_in_repo"`
	Paths      []string `json:"paths"`
	Revisions  []string `json:"revisions"`
	Execute    *bool    `json:"execute"`
	Argv       []string `json:"argv"`
}

// oneOrMore is a list, or one string for a list of one.
type oneOrMore []string

func (s *oneOrMore) UnmarshalJSON(b []byte) error {
	var one string
	if string(b) == "null" {
		return nil
	}
	if json.Unmarshal(b, &one) == nil {
		*s = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(s))
}

// replay is one case with what we do in it.
type replay struct {
	t      *testing.T
	c      recordedCase
	script *scripted.Servers
	client *hub.Client
	set    settings.Settings
	sleeps []float64
}

// newReplay lays out a case's disk, starts its servers and makes a client by its environment.
func newReplay(t *testing.T, c recordedCase, contents map[string]scripted.Content) *replay {
	r := &replay{t: t, c: c, script: c.Start(t, contents)}
	env := map[string]string{
		"HF_ENDPOINT": r.script.Hub.URL, "HF_HOME": filepath.Join(r.script.Root, "hf"), "HF_HUB_DISABLE_XET": "1",
	}
	for k, v := range c.Env {
		delete(env, k)
		if v != nil {
			env[k] = r.script.Fill(*v)
		}
	}
	home := filepath.Join(r.script.Root, "home")
	var err error
	r.set, err = settings.FromEnv(func(k string) (string, bool) { v, ok := env[k]; return v, ok }, home)
	if err != nil {
		t.Fatal(err)
	}
	a := c.Call.Args
	if a.Endpoint != "" {
		r.set.Endpoint = r.script.Fill(a.Endpoint)
	}
	if a.CacheDir != "" {
		r.set.Cache = r.script.Fill(a.CacheDir)
	}
	r.client, err = hub.New(r.set, hub.Options{
		Block: c.Patch.Chunk,
		Clock: wire.Clock{OnSleep: func(_ context.Context, d time.Duration) error {
			r.sleeps = append(r.sleeps, d.Seconds())
			return nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	switch token := a.Token.(type) {
	case string:
		r.client.SetToken(token, "the argument")
	case bool:
		if !token {
			r.client.SetToken("", "")
		}
	}
	return r
}

// call does what the case's call does. The result is in the recording's form.
func (r *replay) call() (any, error) {
	ctx, a, c := context.Background(), r.c.Call.Args, r.client
	repo := hub.Repo{Kind: a.RepoType, ID: a.RepoID}
	if a.Token == true {
		if err := c.NeedToken(); err != nil {
			return nil, err
		}
	}
	switch r.c.Call.Fn {
	case "hf_hub_download":
		f, err := c.File(ctx, hub.FileRequest{
			Repo: repo, Revision: a.Revision, Name: a.Filename, Force: a.Force, Local: a.LocalOnly, Plan: a.DryRun, Folder: r.script.Fill(a.LocalDir),
		})
		if a.DryRun {
			return plan(f), err
		}
		return f.Path, err
	case "snapshot_download":
		s, err := c.Snapshot(ctx, hub.SnapshotRequest{
			Repo: repo, Revision: a.Revision, Allow: a.Allow, Ignore: a.Ignore, Local: a.LocalOnly, Plan: a.DryRun, Folder: r.script.Fill(a.LocalDir),
		})
		if a.DryRun {
			var files []any
			for _, f := range s.Files {
				files = append(files, plan(f))
			}
			return files, err
		}
		return s.Path, err
	case "try_to_load_from_cache":
		cached := c.Cache().Repo("model", a.RepoID)
		commit := cached.Ref("main")
		if path, ok := cached.Has(commit, a.Filename); ok {
			return path, nil
		}
		if cached.KnownMissing(commit, a.Filename) {
			return "_CACHED_NO_EXIST", nil
		}
		return nil, nil
	case "filter_repo_objects":
		return append([]string{}, hub.Filter(a.Items, a.Allow, a.Ignore)...), nil
	case "scan_cache_dir":
		return r.scan()
	case "delete_revisions":
		return r.delete(func(_ hfcache.ScannedRepo, commit string) bool { return slices.Contains(a.Revisions, commit) }, a.Execute == nil || *a.Execute)
	case "settings":
		return r.settings(), nil
	case "cli":
		return r.cli()
	}
	return r.ask(ctx, repo)
}

func plan(f hub.File) any {
	return map[string]any{
		"commit_hash": f.Commit, "file_size": f.Size, "filename": f.Name, "local_path": f.Path, "is_cached": !f.Fetched, "will_download": f.Fetched,
	}
}

// ask makes the calls that only ask the hub.
func (r *replay) ask(ctx context.Context, repo hub.Repo) (any, error) {
	a, c := r.c.Call.Args, r.client
	entries := func(all []hub.Entry, err error) (any, error) {
		list := []any{}
		for _, e := range all {
			m := map[string]any{"path": e.Path}
			if e.Type == "directory" {
				m["tree_id"] = e.OID
			} else {
				m["size"], m["blob_id"] = e.Size, e.OID
			}
			if e.LFS != nil {
				m["lfs"] = map[string]any{"size": e.LFS.Size, "sha256": e.LFS.OID, "pointer_size": e.LFS.PointerSize}
			}
			list = append(list, m)
		}
		return list, err
	}
	switch r.c.Call.Fn {
	case "model_info":
		i, err := c.Info(ctx, repo, a.Revision, a.Sizes, a.Expand...)
		var gated any
		_ = json.Unmarshal(i.Gated, &gated)
		m := map[string]any{"id": i.ID, "sha": i.SHA, "gated": gated}
		if i.Siblings != nil {
			m["private"], m["disabled"] = i.Private, i.Disabled
			list := []any{}
			for _, s := range i.Siblings {
				e := map[string]any{"rfilename": s.Name}
				if a.Sizes {
					e["size"], e["blob_id"] = s.Size, s.BlobID
				}
				list = append(list, e)
			}
			m["siblings"] = list
		}
		return m, err
	case "list_repo_tree":
		return entries(c.Tree(ctx, repo, a.Revision, a.PathInRepo, a.Recursive))
	case "list_repo_files":
		var list []string
		all, err := c.Tree(ctx, repo, a.Revision, "", true)
		for _, e := range all {
			list = append(list, e.Path)
		}
		return list, err
	case "get_paths_info":
		return entries(c.Paths(ctx, repo, a.Revision, a.Paths))
	case "list_repo_refs":
		refs, err := c.Refs(ctx, repo)
		targets := func(all []hub.RefTarget) []any {
			list := []any{}
			for _, t := range all {
				list = append(list, map[string]any{"name": t.Name, "ref": t.Ref, "target_commit": t.Commit})
			}
			return list
		}
		return map[string]any{"branches": targets(refs.Branches), "tags": targets(refs.Tags)}, err
	case "whoami":
		w, err := c.WhoAmI(ctx)
		return map[string]any{"type": w.Type, "name": w.Name}, err
	case "repo_exists":
		return c.Exists(ctx, repo)
	}
	return nil, errUnknownCall
}

var errUnknownCall = errors.New("unknown call")

// cli does with sets what the reference's command line did: rm, prune and the lists.
func (r *replay) cli() (any, error) {
	argv := r.c.Call.Args.Argv
	cache := r.client.Cache()
	switch {
	case argv[1] == "rm":
		kind, id, err := hfcache.RepoOf(argv[2])
		return r.delete(func(repo hfcache.ScannedRepo, commit string) bool {
			return commit == argv[2] || err == nil && repo.Kind == kind && repo.ID == id
		}, true)
	case argv[1] == "prune":
		return r.delete(hfcache.Detached, !slices.Contains(argv, "--dry-run"))
	case argv[1] == "ls":
		var said struct{ Stdout string }
		if err := json.Unmarshal(r.c.Result, &said); err != nil {
			return nil, err
		}
		s, err := cache.Scan()
		for _, repo := range s.Repos {
			if !strings.Contains(said.Stdout, repo.Kind+"/"+repo.ID) {
				r.t.Errorf("%s/%s is not in the reference's list", repo.Kind, repo.ID)
			}
			for _, rev := range repo.Revisions {
				if slices.Contains(argv, "--revisions") && !strings.Contains(said.Stdout, rev.Commit) {
					r.t.Errorf("%s is not in the reference's list", rev.Commit)
				}
			}
		}
		if n := strings.Count(said.Stdout, "amber-gemma-2-20m"); n == 0 || len(s.Repos) != 2 {
			r.t.Errorf("%d repositories, want 2 as the reference lists", len(s.Repos))
		}
		return nil, err
	}
	return nil, nil // help
}

func (r *replay) settings() any {
	s := r.set
	m := map[string]any{
		"ENDPOINT": s.Endpoint, "HF_HOME": s.Home, "HF_HUB_CACHE": s.Cache, "HF_TOKEN_PATH": s.TokenPath, "HF_HUB_OFFLINE": s.Offline,
		"HF_HUB_DISABLE_IMPLICIT_TOKEN": s.NoImplicitToken, "HF_HUB_DISABLE_XET": s.NoXet,
		"HF_HUB_ETAG_TIMEOUT": s.HeadTimeout.Seconds(), "HF_HUB_DOWNLOAD_TIMEOUT": s.StallTimeout.Seconds(),
	}
	if s.Token != "" {
		m["token"] = s.Token
	}
	return m
}

func (r *replay) scan() (any, error) {
	s, err := r.client.Cache().Scan()
	if err != nil {
		return nil, err
	}
	repos, unfinished := []any{}, []any{}
	for _, repo := range s.Repos {
		revisions := []any{}
		for _, rev := range repo.Revisions {
			files, refs := []any{}, []any{}
			for _, f := range rev.Files {
				files = append(files, map[string]any{"file_name": f.Name, "file_path": f.Path, "blob_path": f.Blob, "size_on_disk": f.Bytes})
			}
			for _, ref := range rev.Refs {
				refs = append(refs, ref)
			}
			revisions = append(revisions, map[string]any{
				"commit_hash": rev.Commit, "snapshot_path": rev.Path, "size_on_disk": rev.Bytes, "files": files, "refs": refs,
			})
		}
		repos = append(repos, map[string]any{
			"repo_id": repo.ID, "repo_type": repo.Kind, "repo_path": repo.Path, "size_on_disk": repo.Bytes, "nb_files": repo.Files, "revisions": revisions,
		})
	}
	for _, u := range s.Unfinished {
		unfinished = append(unfinished, map[string]any{"file_path": u.Path, "size_on_disk": u.Bytes})
	}
	return map[string]any{
		"size_on_disk": s.Bytes, "repos": repos, "incomplete_files": unfinished, "warnings": len(s.Warnings), "cache_dir": r.client.Cache().Dir,
	}, nil
}

func (r *replay) delete(which func(hfcache.ScannedRepo, string) bool, execute bool) (any, error) {
	cache := r.client.Cache()
	s, err := cache.Scan()
	if err != nil {
		return nil, err
	}
	p := cache.PlanDelete(s, which)
	if execute {
		err = cache.Delete(p)
	}
	list := func(all []string) []any {
		l := []any{}
		for _, s := range all {
			l = append(l, s)
		}
		return l
	}
	return map[string]any{
		"expected_freed_size": p.Bytes, "blobs": list(p.Blobs), "refs": list(p.Refs), "repos": list(p.Repos), "snapshots": list(p.Snapshots),
		"files": []any{}, "cache_dir": cache.Dir,
	}, err
}
