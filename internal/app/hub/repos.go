package hub

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// repoBody names a repository as the hub's calls that make and remove one want it.
type repoBody struct {
	Name         string `json:"name"`
	Organization string `json:"organization,omitempty"`
	Visibility   string `json:"visibility,omitempty"`
	Type         string `json:"type,omitempty"`
}

func (r Repo) body() repoBody {
	b := repoBody{Name: r.ID}
	if owner, name, ok := strings.Cut(r.ID, "/"); ok {
		b.Organization, b.Name = owner, name
	}
	if r.kind() != "model" {
		b.Type = r.kind()
	}
	return b
}

// post sends JSON and decodes the answer into v, if it isn't nil.
func (c *Client) post(ctx context.Context, r wire.Request, body, v any) error {
	if err := c.online(r.Subject.Repo); err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r.Body = string(text)
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	if r.Type == "" {
		r.Type = "application/json"
	}
	if v == nil {
		resp, err := c.wire.Do(ctx, r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	_, err = c.wire.JSON(ctx, r, v)
	return err
}

// CreateRepo makes a repository and returns its address. private nil leaves that to the hub. If it is there already, that is an error
// unless existOK says otherwise; then it keeps its visibility.
func (c *Client) CreateRepo(ctx context.Context, r Repo, private *bool, existOK bool) (address string, err error) {
	if err := r.valid(); err != nil {
		return "", err
	}
	body := r.body()
	if private != nil {
		body.Visibility = map[bool]string{true: "private", false: "public"}[*private]
	}
	address = c.wire.URL("", r.path()).String()
	for again := false; ; again = true {
		var answer struct {
			URL string `json:"url"`
		}
		err = c.post(ctx, wire.Request{URL: c.wire.Escaped("", "api", "repos", "create"), Subject: wire.Subject{Repo: r.ID}}, body, &answer)
		e, refused := err.(*wire.Error)
		switch {
		case err == nil:
			return address, nil
		case !refused:
			return "", err
		case e.Status == http.StatusConflict && strings.Contains(e.Server, "conflicting operation is in progress") && !again:
			continue
		case e.Status == http.StatusConflict && existOK:
			return address, nil
		case existOK && (e.Status == http.StatusUnauthorized || e.Status == http.StatusPaymentRequired || e.Status == http.StatusForbidden):
			if _, infoErr := c.Info(ctx, r, "", false); infoErr == nil { // it is there: whether it may be written, the commit tells
				return address, nil
			}
		}
		return "", err
	}
}

// DeleteRepo removes a repository.
func (c *Client) DeleteRepo(ctx context.Context, r Repo) error {
	if err := r.valid(); err != nil {
		return err
	}
	return c.post(ctx, wire.Request{
		Method: http.MethodDelete, URL: c.wire.Escaped("", "api", "repos", "delete"), Subject: wire.Subject{Repo: r.ID},
	}, r.body(), nil)
}

// CreateBranch makes a branch at a revision.
func (c *Client) CreateBranch(ctx context.Context, r Repo, branch, revision string) error {
	if err := r.validAt(branch); err != nil {
		return err
	}
	body := struct {
		Start string `json:"startingPoint,omitempty"`
	}{revision}
	return c.post(ctx, wire.Request{URL: c.repoURL(r, "", "branch", branch), Subject: wire.Subject{Repo: r.ID, Revision: branch}}, body, nil)
}

// CreateTag makes a tag at a revision, "" for main.
func (c *Client) CreateTag(ctx context.Context, r Repo, tag, message, revision string) error {
	if revision == "" {
		revision = "main"
	}
	if err := r.validAt(revision); err != nil {
		return err
	}
	body := struct {
		Tag     string `json:"tag"`
		Message string `json:"message,omitempty"`
	}{tag, message}
	return c.post(ctx, wire.Request{URL: c.repoURL(r, "", "tag", revision), Subject: wire.Subject{Repo: r.ID, Revision: revision}}, body, nil)
}

func (r Repo) validAt(revision string) error {
	if err := r.valid(); err != nil {
		return err
	}
	return names.Revision(revision)
}
