package ollama

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/push"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// readCommit takes what only a hub can be told, by the names that it has there. given is one that was, "" for none.
func readCommit(f *option.Fields) (x push.Request, given string, err error) {
	for _, field := range []struct {
		name string
		text *string
		flag *bool
	}{{"private", nil, &x.Private}, {"create_pr", nil, &x.PR}, {"revision", &x.Revision, nil}, {"commit_message", &x.Message, nil}} {
		if field.flag != nil {
			*field.flag, _, err = f.Bool(field.name)
		} else {
			*field.text, _, err = f.Text(field.name)
		}
		if err != nil {
			return x, "", err
		}
		if field.flag != nil && *field.flag || field.text != nil && *field.text != "" {
			given = field.name
		}
	}
	return x, given, nil
}

// pushHub brings a model to the repository of a hub that its name says.
func (d *dialect) pushHub(w http.ResponseWriter, r *http.Request, m moving, to push.Request) error {
	name, err := names.ParseClient(m.name)
	switch {
	case err != nil:
		return problem.Invalid("model", "%v", err)
	case name.File != "" || name.Revision != "" || !strings.Contains(name.Repo, "/"):
		return problem.Invalid("model", "want hf.co/OWNER/NAME, with a branch as revision beside it, found %.100q", m.name)
	case m.insecure:
		return problem.Unsupported("insecure", "want false: hubs are asked by https, unless the server's HF_ENDPOINT says otherwise")
	case d.Hub == nil:
		return problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "push is not supported by this server: it asks no hub")
	}
	if to.Revision != "" {
		if err := names.Revision(to.Revision); err != nil {
			return problem.Invalid("revision", "%v", err)
		}
	}
	to.Repo = hub.Repo{ID: name.Repo}
	return d.move(w, r, m.stream, func(t *teller) error { return d.commit(r.Context(), t, m.name, to) })
}

// commit makes one commit of a model.
func (d *dialect) commit(ctx context.Context, t *teller, name string, to push.Request) error {
	e, err := d.own(name)
	if err != nil {
		return err
	}
	store, err := d.store()
	if err != nil {
		return err
	}
	carried, err := store.Settings(e.Stored)
	if err != nil {
		return err
	}
	client, err := d.Hub(hub.Options{
		Verified: models.Verified{Store: *store}, Uploads: filepath.Join(store.Home, "state", "uploads"), Notice: t.note, Waiting: t.waiting,
		Report: func(x download.Progress) { t.progress(sending(x.Name, x.Done, x.Total)) },
	})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // nothing is written through it any more
	var files []status
	commit, err := push.Push(ctx, client, &push.Model{Path: e.Path, Stored: e.Stored, Carried: carried}, to, func(ops []hub.Operation) error {
		for _, op := range ops {
			size := int64(len(op.Data))
			if info, err := os.Stat(op.File); op.File != "" && err == nil {
				size = info.Size()
			}
			files = append(files, sending(op.Path, 0, size))
			t.send(files[len(files)-1])
		}
		return nil
	})
	if err != nil {
		return explain(err)
	}
	for _, x := range files { // also of those that the hub had already
		x.Completed = x.Total
		t.send(x)
	}
	at := commit.URL
	if commit.PullRequest != "" {
		at = commit.PullRequest
	}
	t.note(at)
	return nil
}

// sending tells how much of a file is there.
func sending(name string, done, total int64) status {
	return status{Status: "pushing " + name, Digest: name, Total: max(0, total), Completed: done}
}
