package hub_test

import (
	"os"
	"path"
	"strings"

	"github.com/systemgemma/systemgemma/internal/testkit/scripted"
)

// exception is a case where we must differ from the reference: why, and what we do instead.
type exception struct {
	why      string
	kind     string // of error, "" for success
	requests string // METHOD host [range], joined by commas
	holds    string // the content that the resulting file has, "" for none
}

// exceptions are all cases that differ, with their reasons; TestGoldenReplay fails for one that no longer does.
var exceptions = map[string]exception{}

func init() {
	for why, cases := range map[string]map[string]exception{
		"the token goes to the host of the next page": {
			"info.tree.next_page_on_other_host": {requests: "GET hub,GET cdn"},
		},
		"the server's ETag, commit or the caller's revision leads out of the cache, or is no commit": {
			"download.file.etag_traversal":            {kind: "not a hub", requests: "HEAD hub"},
			"download.file.etag_with_slash":           {kind: "not a hub", requests: "HEAD hub"},
			"download.file.commit_traversal":          {kind: "not a hub", requests: "HEAD hub"},
			"download.file.commit_not_hex":            {kind: "not a hub", requests: "HEAD hub"},
			"download.file.revision_traversal":        {kind: "name"},
			"download.old.etag_traversal":             {kind: "not a hub", requests: "HEAD hub"},
			"errors.entry_not_found_commit_traversal": {kind: "no file", requests: "HEAD hub"},
		},
		"a blob is used unchecked; ours is hashed and fetched again": {
			"download.cached.damaged_blob": {requests: "HEAD hub,GET hub", holds: "config.json"},
		},
		"403 is answered from the cache without a word": {
			"download.cached.gated_now": {kind: "gated", requests: "HEAD hub"},
		},
		"a connection closed without an answer is tried again, as other failures of the network are": {
			"errors.head_abort": {kind: "unreachable", requests: "HEAD hub,HEAD hub,HEAD hub,HEAD hub,HEAD hub,HEAD hub,HEAD hub"},
		},
		"5xx of a GET is tried again": {
			"errors.get_500": {kind: "5xx", requests: "HEAD hub,GET hub,GET hub,GET hub,GET hub,GET hub,GET hub"},
			"errors.get_502": {kind: "5xx", requests: "HEAD hub,GET hub,GET hub,GET hub,GET hub,GET hub,GET hub"},
			"errors.get_503": {kind: "5xx", requests: "HEAD hub,GET hub,GET hub,GET hub,GET hub,GET hub,GET hub"},
		},
		"a refused link is renewed by a new HEAD, once": {
			"errors.get_403_expired_link": {kind: "link", requests: "HEAD hub,GET cdn,HEAD hub,GET cdn"},
		},
		"every byte that came is kept, so the next GET has a Range, which the script answers with 599": {
			"resume.cut_default_chunk": {kind: "5xx", requests: "HEAD hub,GET cdn,GET cdn 330-"},
		},
		"the unfinished file of an older client is gone on with; its Range is answered with 599 by the script": {
			"resume.incomplete_of_older_client": {kind: "5xx", requests: "HEAD hub,GET cdn 330-"},
		},
		"a range that is not the one asked for, or of another file, starts the file again (the script answers that with 599)": {
			"resume.content_range_wrong_start":           {kind: "5xx", requests: "HEAD hub,GET cdn,GET cdn 320-,GET cdn"},
			"resume.content_range_wrong_start_and_bytes": {kind: "5xx", requests: "HEAD hub,GET cdn,GET cdn 320-,GET cdn"},
			"resume.content_range_wrong_total":           {kind: "5xx", requests: "HEAD hub,GET cdn,GET cdn 320-,GET cdn"},
			"resume.range_416":                           {kind: "5xx", requests: "HEAD hub,GET cdn,GET cdn 320-,GET cdn"},
		},
		"wrong bytes are found by their hash, deleted and fetched once more over a new link (599 by the script, or wrong again)": {
			"resume.content_changed_between": {kind: "5xx", requests: "HEAD hub,GET cdn,GET cdn 320-,HEAD hub,GET cdn"},
			"resume.wrong_bytes_right_size":  {kind: "hash", requests: "HEAD hub,GET cdn,HEAD hub,GET cdn"},
		},
		"another client (0.36.2): only its disk layout is read and gone on with": {
			"errors.old.head_500":                     {kind: "5xx", requests: "HEAD hub,HEAD hub,HEAD hub,HEAD hub,HEAD hub,HEAD hub,HEAD hub"},
			"errors.old.get_503":                      {kind: "5xx", requests: "HEAD hub,GET hub,GET hub,GET hub,GET hub,GET hub,GET hub"},
			"resume.old.cut":                          {requests: "HEAD hub,GET cdn,GET cdn 320-", holds: "model.safetensors"},
			"resume.old.cut_default_chunk":            {requests: "HEAD hub,GET cdn,GET cdn 330-", holds: "model.safetensors"},
			"resume.old.resume_wrong_start_and_bytes": {kind: "5xx", requests: "HEAD hub,GET cdn 330-,GET cdn"},
			"resume.old.resume_416":                   {kind: "5xx", requests: "HEAD hub,GET cdn 330-,GET cdn"},
			"resume.old.resume_complete_wrong_bytes":  {kind: "5xx", requests: "HEAD hub,HEAD hub,GET cdn"},
			"resume.old.resume_too_long_416":          {kind: "5xx", requests: "HEAD hub,GET cdn"},
			"resume.old.resume_wrong_prefix":          {kind: "5xx", requests: "HEAD hub,GET cdn 330-,HEAD hub,GET cdn"},
			"resume.old.resume_force":                 {requests: "HEAD hub,GET cdn", holds: "model.safetensors"},
			"resume.old.killed_by_503":                {kind: "5xx", requests: "HEAD hub,GET cdn 330-,GET cdn 330-,GET cdn 330-,GET cdn 330-,GET cdn 330-,GET cdn 330-"},
			"resume.old.too_short":                    {kind: "size", requests: "HEAD hub,GET cdn"},
			"snapshot.old.all":                        {kind: "5xx", requests: "GET hub,GET hub"},
			"snapshot.old.again":                      {requests: "GET hub,GET hub"},
		},
		"NUL, control and direction characters and parts over 255 bytes are refused before any request for the file": {
			"names.file.09":   {kind: "name"},
			"names.listed.09": {kind: "name", requests: "GET hub,GET hub,HEAD hub,GET hub"},
			"names.file.25":   {kind: "name"},
			"names.listed.25": {kind: "name", requests: "GET hub,GET hub,HEAD hub,GET hub"},
			"names.file.30":   {kind: "name"},
			"names.listed.30": {kind: "name", requests: "GET hub,GET hub,HEAD hub,GET hub"},
			"names.file.35":   {kind: "name"},
			"names.listed.35": {kind: "name", requests: "GET hub,GET hub,HEAD hub,GET hub"},
		},
		"a name that is a file and a folder is refused with the listing": {
			"names.file_and_folder": {kind: "name", requests: "GET hub,GET hub"},
		},
		"the folder's own bookkeeping can't be overwritten": {
			"names.local_dir_own_folder": {kind: "name", requests: "GET hub,GET hub,HEAD hub,GET hub"},
		},
		"a link inside a snapshot is not followed": {
			"names.snapshot_through_link": {kind: "layout", requests: "HEAD hub"},
		},
		"a partial snapshot whose listing is not known does not pass for whole": {
			"snapshot.offline_incomplete_no_tree": {kind: "not here"},
		},
		"stops at the first file that is refused": {
			"snapshot.one_fails": {kind: "403", requests: "GET hub,GET hub,HEAD hub,GET hub,HEAD hub,GET hub,HEAD hub"},
		},
		"an empty variable counts as unset": {
			"settings.env.empty_values": {},
		},
		"nobody is told which program runs this one": {
			"settings.request.agent_registry": {requests: "HEAD hub,GET hub", holds: "config.json"},
		},
		"chunks (xet) are not spoken: the whole file is asked for at the hub (599 by the script), and the token goes nowhere else": {
			"xet.enabled_token_refused":            {kind: "5xx", requests: "HEAD hub,GET hub"},
			"xet.enabled_token_headers_missing":    {kind: "5xx", requests: "HEAD hub,GET hub"},
			"xet.enabled_refresh_route_other_host": {kind: "5xx", requests: "HEAD hub,GET hub"},
		},
		"the command line is not this package's: the same sets, not the text": {
			"cache.cli.*": {},
		},
	} {
		for name, e := range cases {
			e.why = why
			exceptions[name] = e
		}
	}
}

func exceptionOf(name string) (string, *exception) {
	if e, ok := exceptions[name]; ok {
		return name, &e
	}
	for pattern, e := range exceptions {
		if ok, _ := path.Match(pattern, name); ok {
			return pattern, &e
		}
	}
	return "", nil
}

// replay makes the call and compares with our own expected outcome. Whatever it is, the cache must be sound.
func (e *exception) replay(r *replay) {
	before := scripted.Tree(r.t, r.script.Root)
	got, err := r.call()
	var requests []string
	for _, q := range r.script.Made() {
		s := q.Method + " " + q.Host
		if v := q.Headers["range"]; v != "" {
			s += " " + strings.TrimPrefix(v, "bytes=")
		}
		requests = append(requests, s)
	}
	holds := ""
	if file, ok := got.(string); ok && err == nil {
		b, ferr := os.ReadFile(file)
		for name, c := range r.script.Contents {
			if ferr == nil && string(b) == string(c.Bytes()) {
				holds = name
			}
		}
	}
	found := exception{kind: kindOf(err), requests: strings.Join(requests, ","), holds: holds}
	if found.kind != e.kind || found.requests != e.requests || found.holds != e.holds {
		r.t.Errorf("%s\nwant kind %q, requests %q, content %q\n got kind %q, requests %q, content %q (%v)", e.why, e.kind, e.requests, e.holds,
			found.kind, found.requests, found.holds, err)
	}
	if r.c.Call.Fn == "cli" {
		for _, d := range compareTrees(scripted.Recorded(r.c.CacheTree), scripted.Tree(r.t, r.script.Root), refsOf(r.c.CacheTree)) {
			r.t.Errorf("disk: %s", d)
		}
	}
	sound(r.t, r.script.Root, before)
}
