// Package names owns what a model may be called: short names, repositories of a hub, files inside them, Ollama names, URLs
// and paths, and which of these are refused before anything is asked or written.
//
// It must not know how a name is looked up: it asks no network and, but for the caller's question whether a path exists, no disk.
package names

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind says which of its fields a Name uses.
type Kind int

const (
	Hub    Kind = iota // a repository on a Hugging Face hub, or a file in it
	Ollama             // a model of an Ollama registry
	URL                // a file at an address
	Path               // a file or folder on this machine
)

// Name is a parsed model name.
type Name struct {
	Kind     Kind
	Short    string // the short name it was given as, else ""
	Repo     string // Hub: owner/name, or name alone
	Revision string // Hub: branch, tag or commit; "" is main
	File     string // Hub: a file inside the repository; "" is the whole model
	Quant    string // Hub: the type of a GGUF file, from owner/repo:Q8_0; the listing tells which file that is
	Template string // the template mode a short name asks for, else ""
	Ollama   OllamaName
	Target   string // Ollama: [host/][namespace/]model[:tag]; URL: the address; Path: the path
}

// Error is a name that is refused, before any request. Its text says what was expected.
type Error struct {
	What string // "repository", "file name", ...
	Name string
	Why  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s %q: %s", e.What, e.Name, e.Why) }

func refuse(what, name, why string, args ...any) error {
	return &Error{What: what, Name: name, Why: fmt.Sprintf(why, args...)}
}

// Parse reads a name. exists tells whether a path is there: an existing path wins over every other reading; nil means that none is.
func Parse(s string, exists func(path string) bool) (Name, error) {
	if err := Printable("model name", s); err != nil {
		return Name{}, err
	}
	if s == "" {
		return Name{}, refuse("model name", s, "is empty; want a short name (%s), owner/name, a URL or a path", ShortNames())
	}
	if exists != nil && exists(s) {
		return Name{Kind: Path, Target: s}, nil
	}
	if short, ok := short[s]; ok {
		return Name{Kind: Hub, Short: s, Repo: short.Repo, Template: short.Template}, nil
	}
	scheme, rest, isURL := strings.Cut(s, "://")
	switch {
	case isURL && scheme == "hf":
		return hub(s, rest)
	case isURL && scheme == "ollama":
		return ollama(s, rest)
	case isURL && (scheme == "http" || scheme == "https"):
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.User != nil {
			return Name{}, refuse("URL", s, "want http(s)://host/path without a user name")
		}
		return Name{Kind: URL, Target: s}, nil
	case isURL:
		return Name{}, refuse("model name", s, "scheme %q is not known; want hf, ollama, http or https", scheme)
	case looksLikePath(s):
		return Name{Kind: Path, Target: s}, nil
	case !strings.Contains(s, "/"):
		return Name{}, refuse("model name", s, "is neither a short name (%s) nor a file here; want owner/name for a repository", ShortNames())
	}
	return hub(s, s)
}

// looksLikePath: what can't be a repository, so that a missing file is reported as one and no hub is asked.
func looksLikePath(s string) bool {
	for _, prefix := range []string{"./", "../", "/", "~", `.\`, `..\`, `\`} {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	drive := len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/')
	file := !strings.Contains(s, "/") && (strings.HasSuffix(s, ".gguf") || strings.HasSuffix(s, ".safetensors"))
	return drive || file || s == "." || s == ".."
}

// hub reads owner/name[@revision][/file | :QUANT]. A revision may hold slashes, so it is read last: after @, a file can't follow.
func hub(whole, s string) (Name, error) {
	n := Name{Kind: Hub}
	s, n.Revision, _ = strings.Cut(s, "@")
	if n.Revision == "" && strings.Contains(whole, "@") {
		return n, refuse("model name", whole, "the revision after @ is empty")
	}
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.Contains(s[i:], "/") {
		s, n.Quant = s[:i], s[i+1:]
		if !quant.MatchString(n.Quant) {
			return n, refuse("model name", whole, "after : want the type of a GGUF file, as in owner/name:Q8_0, found %q", n.Quant)
		}
	}
	parts := strings.SplitN(s, "/", 3)
	n.Repo = s
	if len(parts) == 3 {
		n.Repo, n.File = parts[0]+"/"+parts[1], parts[2]
		if n.Quant != "" {
			return n, refuse("model name", whole, "want a file or a type after :, not both")
		}
		if !strings.HasSuffix(n.File, ".gguf") {
			return n, refuse("model name", whole, "inside a repository want a .gguf file, found %q", n.File)
		}
		if err := File(n.File); err != nil {
			return n, err
		}
	}
	if err := Repo(n.Repo); err != nil {
		return n, err
	}
	if n.Revision != "" {
		if err := Revision(n.Revision); err != nil {
			return n, err
		}
	}
	return n, nil
}

var (
	quant    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)
	repoPart = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	commit   = regexp.MustCompile(`^[0-9a-f]{40}$`)
	etag     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
)

// ollama reads what follows ollama://.
func ollama(whole, s string) (Name, error) {
	n, err := ParseOllama(s)
	if err != nil || strings.Contains(s, "://") {
		return Name{}, refuse("Ollama name", whole, "want ollama://[host[:port]/][namespace/]model[:tag] of letters, digits, _ . and -")
	}
	return Name{Kind: Ollama, Target: s, Ollama: n}, nil
}

// Repo accepts what a hub accepts as a repository: name or owner/name of letters, digits, . _ and -, at most 96 characters.
func Repo(id string) error {
	parts := strings.Split(id, "/")
	ok := len(parts) <= 2 && len(id) <= 96 && !strings.HasSuffix(id, ".git") && !strings.Contains(id, "--") && !strings.Contains(id, "..")
	for _, p := range parts {
		ok = ok && repoPart.MatchString(p) && strings.Trim(p, "-.") == p
	}
	if !ok {
		return refuse("repository", id, "want owner/name of letters, digits, . _ and -, at most 96 characters, without -- or .., "+
			"not beginning or ending in - or ., not ending in .git")
	}
	return nil
}

// Revision accepts a branch, tag, commit or refs/pr/N that can be a file below refs/: no .., no empty part, no backslash.
func Revision(rev string) error {
	if err := Printable("revision", rev); err != nil {
		return err
	}
	if rev == "" || len(rev) > 255 || strings.ContainsAny(rev, `\:*?"<>|`) {
		return refuse("revision", rev, "want a branch, tag or commit")
	}
	for part := range strings.SplitSeq(rev, "/") {
		if part == "" || part == "." || part == ".." || strings.HasSuffix(part, ".lock") {
			return refuse("revision", rev, "want a branch, tag or commit, without empty or .. parts")
		}
	}
	return nil
}

// File accepts a file name of a repository that stays inside the repository's folder on every system: no .. part (a backslash
// counts as a slash here), not absolute, no drive; no control or direction characters, no part over 255 bytes.
func File(name string) error {
	const what = "file name"
	slashed := strings.ReplaceAll(name, `\`, "/")
	switch {
	case strings.HasPrefix(slashed, "/"):
		return refuse(what, name, "is absolute; want a path inside the repository")
	case len(name) > 4000:
		return refuse(what, name[:60]+"...", "is %d bytes long; want at most 4000", len(name))
	}
	for part := range strings.SplitSeq(slashed, "/") {
		switch {
		case part == "..":
			return refuse(what, name, "leaves the repository's folder by a .. part")
		case len(part) >= 2 && part[1] == ':' && unicode.IsLetter(rune(part[0])):
			return refuse(what, name, "names a drive; want a path inside the repository")
		case len(part) > 255:
			return refuse(what, name[:60]+"...", "has a part of %d bytes; file systems hold at most 255", len(part))
		}
	}
	return Printable(what, name)
}

// Printable refuses control characters, which can forge terminal output, and bidirectional controls, which show a name as
// another, and bytes that are no UTF-8.
func Printable(what, s string) error {
	if !utf8.ValidString(s) {
		return refuse(what, s, "is not UTF-8")
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return refuse(what, s, "holds the control character %U", r)
		}
	}
	return nil
}

// IsCommit tells whether s is a full commit: 40 lower-case hexadecimal digits.
func IsCommit(s string) bool { return commit.MatchString(s) }

// IsEtag tells whether s may be the name of a blob: a server can send any text, and only a plain file name is used.
func IsEtag(s string) bool { return etag.MatchString(s) && s != "." && s != ".." }
