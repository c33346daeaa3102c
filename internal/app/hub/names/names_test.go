package names

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	here := func(p string) bool { return p == "2b.d" || p == "owner/model" }
	for s, want := range map[string]Name{
		"2b":                             {Kind: Hub, Short: "2b", Repo: "google/gemma-2-2b-it"},
		"27b-pt":                         {Kind: Hub, Short: "27b-pt", Repo: "google/gemma-2-27b"},
		"systemgemma2":                   {Kind: Hub, Short: "systemgemma2", Repo: "google/gemma-2-2b-it", Template: "systemgemma2"},
		"owner/name":                     {Kind: Hub, Repo: "owner/name"},
		"owner/name@v1/rc":               {Kind: Hub, Repo: "owner/name", Revision: "v1/rc"},
		"hf://owner/name":                {Kind: Hub, Repo: "owner/name"},
		"hf://gpt2@main":                 {Kind: Hub, Repo: "gpt2", Revision: "main"},
		"owner/name:Q8_0":                {Kind: Hub, Repo: "owner/name", Quant: "Q8_0"},
		"owner/name:Q8_0@abc":            {Kind: Hub, Repo: "owner/name", Quant: "Q8_0", Revision: "abc"},
		"owner/name/sub/m.gguf":          {Kind: Hub, Repo: "owner/name", File: "sub/m.gguf"},
		"owner/name/m.gguf@refs/pr/3":    {Kind: Hub, Repo: "owner/name", File: "m.gguf", Revision: "refs/pr/3"},
		"ollama://gemma2:2b":             {Kind: Ollama, Target: "gemma2:2b", Ollama: OllamaName{Registry, Library, "gemma2", "2b"}},
		"ollama://host:5000/ns/model":    {Kind: Ollama, Target: "host:5000/ns/model", Ollama: OllamaName{"host:5000", "ns", "model", Latest}},
		"https://example.org/m.gguf?x=1": {Kind: URL, Target: "https://example.org/m.gguf?x=1"},
		"./model.gguf":                   {Kind: Path, Target: "./model.gguf"},
		"model.gguf":                     {Kind: Path, Target: "model.gguf"},
		"/m/x":                           {Kind: Path, Target: "/m/x"},
		`C:\m.gguf`:                      {Kind: Path, Target: `C:\m.gguf`},
		"2b.d":                           {Kind: Path, Target: "2b.d"},
		"owner/model":                    {Kind: Path, Target: "owner/model"}, // an existing path wins
	} {
		got, err := Parse(s, here)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Parse(%q): %v (-want +got):\n%s", s, err, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", "3b", "a/b/c", "a/b/c.bin", "a/..", "../a/b.gguf/", "a--b/c", "a/b.git", "-a/b", "a/b@", "a/b@../x", "a/b:", "a/b:Q8 0", "a/b/../../c.gguf",
		"a/b/c.gguf:Q8_0", "hf://", "hf://a/b/c/d", "ftp://x/y", "https://", "https://user:pw@host/x", "ollama://a/b/c/d", "ollama://../x", "ollama://-x",
		"ollama://a b", "a/b\n", "a/b\x1b[2J", "a/\u202eb", "a/b\x00", "a/b@\u2066x", "a/b\xff", strings.Repeat("a", 97) + "/b",
	} {
		n, err := Parse(s, nil)
		var refused *Error
		if n.Kind == Path && err == nil && strings.HasPrefix(s, "..") {
			continue
		}
		if !errors.As(err, &refused) {
			t.Errorf("Parse(%q) = %+v, %v: want it refused", s, n, err)
		}
	}
}

// Whatever the name, it parses or is refused, and what is accepted as a file stays inside a folder.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"2b", "a/b@c", "hf://a/b/c.gguf", "ollama://h:1/a/b:c", "a/b:Q4_K_M", `..\..\x`, "C:/x", "a/b/..%2f.gguf"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseClient(s); err == nil && n.Kind == Ollama {
			if again, err := ParseOllama(n.Ollama.Full()); err != nil || again != n.Ollama {
				t.Fatalf("ParseClient(%q) = %+v, which reads again as %+v, %v", s, n, again, err)
			}
		}
		n, err := Parse(s, nil)
		if err != nil || n.Kind != Hub {
			return
		}
		if Repo(n.Repo) != nil || n.File != "" && File(n.File) != nil || n.Revision != "" && Revision(n.Revision) != nil {
			t.Fatalf("Parse(%q) = %+v, which its own checks refuse", s, n)
		}
		for part := range strings.SplitSeq(strings.ReplaceAll(n.File+"/"+n.Revision, `\`, "/"), "/") {
			if part == ".." {
				t.Fatalf("Parse(%q) = %+v leads upwards", s, n)
			}
		}
	})
}

func TestOllamaNamesReadBack(t *testing.T) {
	for _, s := range []string{"gemma2:2b", "ns/m:latest", "h.example:5000/ns/M_x:T.1", "h/library/m:latest"} {
		n, err := ParseOllama(s)
		if err != nil || n.String() != s {
			t.Errorf("%s reads as %s, %v", s, n, err)
		}
	}
	if n, err := ParseOllama("http://h/ns/m"); err != nil || n.Full() != "h/ns/m:latest" {
		t.Errorf("a scheme is not dropped: %s, %v", n.Full(), err)
	}
	for _, s := range []string{"", "a:b:c", "../x:y", "h/n/m/x", "h:p/n/m", "n s/m", "-m", "m:", "a//b", "n/m:" + strings.Repeat("t", 81)} {
		if n, err := ParseOllama(s); err == nil {
			t.Errorf("%q is accepted as %s", s, n)
		}
	}
}

// Clients of Ollama leave out what it takes for granted.
func TestParseClient(t *testing.T) {
	for s, want := range map[string]Name{
		"2b":                         {Kind: Hub, Short: "2b", Repo: "google/gemma-2-2b-it"},
		"owner/name:Q8_0":            {Kind: Hub, Repo: "owner/name", Quant: "Q8_0"},
		"owner.x/name/m.gguf":        {Kind: Hub, Repo: "owner.x/name", File: "m.gguf"},
		"hf.co/owner/name:Q4_K_M":    {Kind: Hub, Repo: "owner/name", Quant: "Q4_K_M"},
		"huggingface.co/owner/name":  {Kind: Hub, Repo: "owner/name"},
		"hf.co/owner/name:latest":    {Kind: Hub, Repo: "owner/name"},
		"gemma2:2b":                  {Kind: Ollama, Target: "gemma2:2b", Ollama: OllamaName{Registry, Library, "gemma2", "2b"}},
		"gemma2":                     {Kind: Ollama, Target: "gemma2", Ollama: OllamaName{Registry, Library, "gemma2", Latest}},
		"ollama://ns/m":              {Kind: Ollama, Target: "ns/m", Ollama: OllamaName{Registry, "ns", "m", Latest}},
		"h.example/ns/m:v1":          {Kind: Ollama, Target: "h.example/ns/m:v1", Ollama: OllamaName{"h.example", "ns", "m", "v1"}},
		"localhost:5000/ns/m":        {Kind: Ollama, Target: "localhost:5000/ns/m", Ollama: OllamaName{"localhost:5000", "ns", "m", Latest}},
		"https://example.org/m.gguf": {Kind: URL, Target: "https://example.org/m.gguf"},
		"./x/y":                      {Kind: Path, Target: "./x/y"},
	} {
		got, err := ParseClient(s)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("ParseClient(%q): %v (-want +got):\n%s", s, err, diff)
		}
	}
	for _, s := range []string{"", "2b:w4", "no model", "a/b/c", "h.example/../m", "ftp://a/b", "a\x00", "hf.co/", "hf.co/../x"} {
		if n, err := ParseClient(s); err == nil {
			t.Errorf("%q is accepted as %+v", s, n)
		}
	}
}
