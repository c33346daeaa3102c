// Package push owns how a model of this machine comes to a repository of a hub: which files it is there, what is said of it, and what
// the hub is asked in which order.
//
// It must not know how a command or the client of a server is told of it, nor what goes over the wire: that is package hub's.
package push

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/modelcard"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// Model is what is pushed.
type Model struct {
	Path    string           // a file, or a folder whose files are all pushed
	Stored  *models.Model    // nil: not of the store
	Carried *models.Settings // what it carries besides its weights; nil: nothing
}

// Request says where a model goes, and how. The zero value of each field but Repo is usable.
type Request struct {
	Repo     hub.Repo
	Revision string // branch, made if need be; "": main
	Private  bool   // the repository is private, if it is made
	PR       bool   // a pull request instead of a change of the branch; the repository must be there
	Message  string // of the commit; "": it names the first file
	Card     string // a file that becomes README.md; "": one is made of what a file of the product's own format says, if the repository has none
	NoCard   bool   // no README.md
}

// Files are what a model is in a repository: its file, with a Modelfile of what it carries and the adapters of that; or all of a folder.
// There is at least one, and the first is the model's own.
func Files(m *Model) ([]hub.Operation, error) {
	info, err := os.Stat(m.Path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		ops, err := hub.FolderOperations(m.Path, nil, nil, "")
		if err == nil && len(ops) == 0 {
			err = fmt.Errorf("%s has no files", m.Path)
		}
		return ops, err
	}
	name := filepath.Base(m.Path)
	if m.Stored != nil && m.Stored.Ollama != nil { // there it is called by its hash
		name = models.FileName(m.Stored.Name, m.Stored.Type, m.Stored.Commit)
	}
	ops := []hub.Operation{{Path: name, File: m.Path}}
	if m.Carried == nil || m.Carried.IsZero() {
		return ops, nil
	}
	carried := *m.Carried
	carried.Adapters = nil
	for i, a := range m.Carried.Adapters {
		at := fmt.Sprintf("adapters/%d%s", i+1, filepath.Ext(a))
		carried.Adapters = append(carried.Adapters, "./"+at)
		if info, err := os.Stat(a); err == nil && info.IsDir() {
			more, err := hub.FolderOperations(a, nil, nil, at)
			if err != nil {
				return nil, err
			}
			ops = append(ops, more...)
			continue
		}
		ops = append(ops, hub.Operation{Path: at, File: a})
	}
	f := carried.Modelfile("./" + name)
	if err := f.Check(); err != nil {
		return nil, err
	}
	return append(ops, hub.Operation{Path: "Modelfile", Data: []byte(f.String())}), nil
}

// Push makes the repository and the branch if need be, and one commit of the files of a model and its card. planned is told what goes
// before any of it does; its error ends the push.
func Push(ctx context.Context, c *hub.Client, m *Model, r Request, planned func([]hub.Operation) error) (hub.Commit, error) {
	if err := c.NeedToken(); err != nil {
		return hub.Commit{}, err
	}
	ops, err := Files(m)
	if err != nil {
		return hub.Commit{}, err
	}
	if r.Revision == "" {
		r.Revision = "main"
	}
	if !r.PR {
		var private *bool
		if r.Private {
			private = &r.Private
		}
		if _, err := c.CreateRepo(ctx, r.Repo, private, true); err != nil {
			return hub.Commit{}, err
		}
		if r.Revision != "main" && !strings.HasPrefix(r.Revision, "refs/") {
			if err := makeBranch(ctx, c, r.Repo, r.Revision); err != nil {
				return hub.Commit{}, err
			}
		}
	}
	if ops, err = withCard(ctx, c, m, &r, ops); err != nil {
		return hub.Commit{}, err
	}
	if err := planned(ops); err != nil {
		return hub.Commit{}, err
	}
	if r.Message == "" {
		r.Message = "Upload " + path.Base(ops[0].Path) + " with systemgemma"
	}
	return c.Commit(ctx, hub.CommitRequest{Repo: r.Repo, Revision: r.Revision, Summary: r.Message, PR: r.PR, Operations: ops})
}

// makeBranch makes a branch if there is none of that name.
func makeBranch(ctx context.Context, c *hub.Client, repo hub.Repo, branch string) error {
	refs, err := c.Refs(ctx, repo)
	if err != nil {
		return err
	}
	for _, b := range refs.Branches {
		if b.Name == branch {
			return nil
		}
	}
	return c.CreateBranch(ctx, repo, branch, "")
}

// withCard adds a README.md.
func withCard(ctx context.Context, c *hub.Client, m *Model, r *Request, ops []hub.Operation) ([]hub.Operation, error) {
	if r.Card != "" {
		return append(ops, hub.Operation{Path: "README.md", File: r.Card}), nil
	}
	info, err := os.Stat(m.Path)
	if err != nil || r.NoCard || info.IsDir() {
		return ops, err
	}
	described, err := systemgemma.Describe(m.Path, nil)
	if err != nil {
		return nil, err
	}
	if described.Format != "systemgemma" {
		return ops, nil // a card tells of files of our own format
	}
	there, err := c.Paths(ctx, r.Repo, r.Revision, []string{"README.md"})
	if err != nil && (wire.Away(err) || wire.KindOf(err) == wire.BadToken) {
		return nil, err
	}
	if len(there) > 0 {
		return ops, nil
	}
	var card bytes.Buffer
	if err := modelcard.One(&card, ops[0].Path, m.Path, &described); err != nil {
		return nil, err
	}
	return append(ops, hub.Operation{Path: "README.md", Data: card.Bytes()}), nil
}
