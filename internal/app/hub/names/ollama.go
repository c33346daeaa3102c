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

// ParseClient reads a name as clients of Ollama give it: as Parse does, but that hf.co and huggingface.co before a repository mean the hub,
// three parts that begin with a host a registry's model, and one part that is no short name a model of Ollama's own library.
func ParseClient(s string) (Name, error) {
	for _, host := range []string{"hf.co/", "huggingface.co/"} {
		if rest, ok := strings.CutPrefix(s, host); ok {
			return Parse("hf://"+strings.TrimSuffix(rest, ":"+Latest), nil)
		}
	}
	n, err := Parse(s, nil)
	host, _, parts := strings.Cut(s, "/")
	bare, _, _ := strings.Cut(s, ":")
	_, isShort := short[bare]
	library := !parts && err != nil && !isShort
	registry := strings.Count(s, "/") == 2 && (strings.ContainsAny(host, ".:") || host == "localhost") && !strings.HasSuffix(s, ".gguf")
	if !library && !registry || strings.Contains(s, "://") {
		return n, err
	}
	if o, bad := ParseOllama(s); bad == nil && Printable("model name", s) == nil {
		return Name{Kind: Ollama, Target: s, Ollama: o}, nil
	}
	return n, err
}
