package names

import (
	"regexp"
	"strings"
)

// Registry is the host of Ollama names that give none, Library the namespace, Latest the tag.
const (
	Registry = "registry.ollama.ai"
	Library  = "library"
	Latest   = "latest"
)

// OllamaName is a model of an Ollama registry, all parts filled in.
type OllamaName struct {
	Host      string // with :port, if it has one
	Namespace string
	Model     string
	Tag       string
}

var (
	ollamaPart = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	ollamaHost = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[0-9]{1,5})?$`)
)

// ParseOllama reads [host[:port]/][namespace/]model[:tag]. What a scheme before it says is dropped: registries are asked by https.
func ParseOllama(s string) (n OllamaName, err error) {
	rest := s
	if _, after, ok := strings.Cut(s, "://"); ok {
		rest = after
	}
	parts := strings.Split(rest, "/")
	last := len(parts) - 1
	n = OllamaName{Host: Registry, Namespace: Library, Tag: Latest}
	var tagged bool
	if n.Model, n.Tag, tagged = strings.Cut(parts[last], ":"); !tagged {
		n.Tag = Latest
	}
	if last >= 1 {
		n.Namespace = parts[last-1]
	}
	if last == 2 {
		n.Host = parts[0]
	}
	ok := last <= 2 && len(n.Host) <= 350 && ollamaHost.MatchString(n.Host) && !strings.Contains(n.Host, "..")
	for _, p := range []string{n.Namespace, n.Model, n.Tag} {
		ok = ok && len(p) <= 80 && ollamaPart.MatchString(p) && !strings.Contains(p, "..")
	}
	if !ok {
		return OllamaName{}, refuse("Ollama name", s, "want [host[:port]/][namespace/]model[:tag], each part of letters, digits, _ . and -, not "+
			"beginning with . or -, at most 80 characters")
	}
	return n, nil
}

// String is the shortest form that reads back as n, always with its tag.
func (n OllamaName) String() string {
	s := n.Model + ":" + n.Tag
	if n.Namespace != Library || n.Host != Registry {
		s = n.Namespace + "/" + s
	}
	if n.Host != Registry {
		s = n.Host + "/" + s
	}
	return s
}

// Full is n with all its parts: where its manifest lies, but for the colon.
func (n OllamaName) Full() string { return n.Host + "/" + n.Namespace + "/" + n.Model + ":" + n.Tag }

// Same tells whether two names mean one model: registries don't tell upper from lower case in hosts.
func (n OllamaName) Same(o OllamaName) bool {
	return strings.EqualFold(n.Host, o.Host) && n.Namespace == o.Namespace && n.Model == o.Model && n.Tag == o.Tag
}
