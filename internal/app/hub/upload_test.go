package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/scripted"
)

// uploadCase is a recorded call that changes a hub.
type uploadCase struct {
	recordedCase
	Call struct {
		Fn   string
		Args struct {
			args
			Operations  []operation
			Message     string    `json:"commit_message"`
			Description string    `json:"commit_description"`
			PR          bool      `json:"create_pr"`
			Parent      string    `json:"parent_commit"`
			File        string    `json:"path_or_fileobj"`
			FolderPath  string    `json:"folder_path"`
			Delete      oneOrMore `json:"delete_patterns"`
			Private     *bool
			ExistOK     bool `json:"exist_ok"`
			Branch      string
			Tag         string
			TagMessage  string `json:"tag_message"`
		}
	}
}

type operation struct {
	Op, File string
	Data     *string
	Path     string `json:"path_in_repo"`
	Source   string `json:"src_path_in_repo"`
}

// pushExceptions are the cases of pushing that differ, with what we do instead.
var pushExceptions = map[string]exception{
	"upload.lfs_verify_other_host": {
		why: "the token stays with the hub, whatever host is to verify", requests: "POST hub,POST hub,PUT cdn,POST cdn,POST hub",
	},
	"upload.ignored_by_server": {
		why: "an empty commit is not made: that all files are left out is an error", kind: "other: quartz-oak/amber-gemma-2-20m: the repository's .gitignore leaves " +
			"out all that was to be pushed; no commit was made", requests: "POST hub",
	},
	"xet.upload_enabled": {
		why: "chunks (xet) are not spoken: the LFS interface is asked, which the script answers with 599", kind: "5xx", requests: "POST hub,POST hub",
	},
}

// push makes the case's call.
func (r *replay) push(c *uploadCase) (any, error) {
	ctx, a, client := context.Background(), c.Call.Args, r.client
	repo := hub.Repo{Kind: a.RepoType, ID: a.RepoID}
	request := hub.CommitRequest{Repo: repo, Revision: a.Revision, Summary: a.Message, Description: a.Description, Parent: a.Parent, PR: a.PR}
	if request.Summary == "" { // the caller's words: what the reference said where its caller said nothing
		for _, q := range r.c.Requests {
			var head struct{ Value struct{ Summary string } }
			if strings.Contains(q.Path, "/commit/") {
				if err := json.Unmarshal([]byte(strings.SplitN(q.Body, "\n", 2)[0]), &head); err != nil {
					r.t.Fatal(err)
				}
				request.Summary = head.Value.Summary
			}
		}
	}
	switch c.Call.Fn {
	case "create_commit":
		for _, o := range a.Operations {
			op := hub.Operation{Path: o.Path, File: r.script.Fill(o.File), Delete: o.Op == "delete", CopyOf: o.Source}
			if o.Data != nil {
				op.Data = []byte(*o.Data)
			}
			request.Operations = append(request.Operations, op)
		}
	case "upload_file":
		request.Operations = []hub.Operation{{Path: a.PathInRepo, File: r.script.Fill(a.File)}}
	case "delete_file":
		request.Operations = []hub.Operation{{Path: a.PathInRepo, Delete: true}}
	case "upload_folder":
		ops, err := hub.FolderOperations(r.script.Fill(a.FolderPath), a.Allow, a.Ignore, a.PathInRepo)
		if err != nil {
			return nil, err
		}
		if a.Delete != nil {
			deletes, err := client.DeleteMatching(ctx, repo, a.Revision, a.Delete, a.PathInRepo, ops)
			if err != nil {
				return nil, err
			}
			ops = append(deletes, ops...)
		}
		request.Operations = ops
	case "create_repo":
		address, err := client.CreateRepo(ctx, repo, a.Private, a.ExistOK)
		if a.RepoType != "" {
			address = strings.Replace(address, "/datasets/", "/", 1) // the script's answer is that of a model
		}
		return map[string]any{"text": address}, err
	case "delete_repo":
		return nil, client.DeleteRepo(ctx, repo)
	case "create_branch":
		return nil, client.CreateBranch(ctx, repo, a.Branch, a.Revision)
	case "create_tag":
		return nil, client.CreateTag(ctx, repo, a.Tag, a.TagMessage, a.Revision)
	default:
		return nil, errUnknownCall
	}
	commit, err := client.Commit(ctx, request)
	return map[string]any{"oid": commit.OID, "commit_url": commit.URL}, err
}

// wantPushKind is what the recorded error means.
func (r *replay) wantPushKind() string {
	e := r.c.Error
	switch {
	case e == nil:
		return ""
	case strings.HasSuffix(r.c.Name, "readme_refused"):
		return "400"
	case e.Type == "ValueError" && strings.Contains(r.c.Name, "bad_path"):
		return "name"
	case e.Type == "ValueError" && strings.Contains(e.Message, "improperly formatted"), e.Cause != nil && e.Cause.Type == "ValueError":
		return "not a hub"
	case e.Type == "ValueError":
		return "refused" // one object of many
	case e.Type == "RuntimeError" && strings.HasPrefix(e.Cause.Message, "403"):
		return "link"
	case e.Type == "RuntimeError" && strings.Contains(e.Cause.Message, "404"):
		return "404"
	case e.Status == 409 || e.Status == 412:
		return "status"
	}
	return r.wantKind()
}

// body is a request's body with JSON in one form.
func body(q scripted.Request) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(q.Body, "\n"), "\n") {
		var v any
		if json.Unmarshal([]byte(line), &v) != nil {
			return q.Body
		}
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		lines = append(lines, string(b))
	}
	return strings.Join(lines, "\n")
}

func pushLines(all []scripted.Request, sums bool) []string {
	lines := []string{}
	for _, q := range all {
		s := fmt.Sprint(q.Host, " ", q.Method, " ", q.Path, "?", q.Query, " authorization=", q.Headers["authorization"], " ", q.Headers["content-type"])
		if q.Method == "PUT" && q.Host == "cdn" {
			s += " " + q.BodySum(sums)
		} else {
			s += " " + body(q)
		}
		lines = append(lines, s)
	}
	return lines
}

// TestGoldenUploads makes every recorded call of the reference client that changes a hub, and compares the requests, the result and the kind of
// error.
func TestGoldenUploads(t *testing.T) {
	contents, cases := scripted.Cases[uploadCase](t, "hub", "upload", "xet")
	n := 0
	for c := range cases {
		if strings.HasPrefix(c.Name, "xet.") && !strings.HasPrefix(c.Name, "xet.upload") {
			continue // of TestGoldenReplay
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			c.recordedCase.Call.Args = c.Call.Args.args
			r := newReplay(t, c.recordedCase, contents)
			got, err := r.push(&c)
			e, differs := pushExceptions[c.Name]
			if differs {
				var asked []string
				for _, q := range r.script.Made() {
					asked = append(asked, q.Method+" "+q.Host)
					if q.Host != "hub" && q.Headers["authorization"] != "" {
						t.Errorf("the token went to %s %s", q.Host, q.Path)
					}
				}
				if k := kindOf(err); k != e.kind || strings.Join(asked, ",") != e.requests {
					t.Errorf("%s\nwant kind %q, requests %s\n got kind %q, requests %s", e.why, e.kind, e.requests, k, strings.Join(asked, ","))
				}
				return
			}
			if want, k := r.wantPushKind(), kindOf(err); want != k && !(want == "refused" && strings.Contains(k, "does not take it")) {
				t.Errorf("error: want kind %q, got %q (%v)", want, k, err)
			}
			if diff := cmp.Diff(pushLines(r.c.Requests, false), pushLines(r.script.Made(), true)); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if err == nil && r.c.Result != nil && string(r.c.Result) != "null" {
				r.compareResult(got)
			}
			if diff := cmp.Diff(r.c.Sleeps, r.sleeps); diff != "" && len(r.c.Sleeps) > 0 {
				t.Errorf("waits in seconds (-want +got):\n%s", diff)
			}
			before := slices.Clone(r.c.CacheTree)
			if diff := cmp.Diff(scripted.Recorded(before), scripted.Tree(t, r.script.Root)); diff != "" {
				for _, d := range compareTrees(scripted.Recorded(before), scripted.Tree(t, r.script.Root), nil) {
					t.Errorf("disk: %s", d)
				}
			}
		})
	}
	golden.Count(t, n)
}
