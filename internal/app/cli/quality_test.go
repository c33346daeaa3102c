package cli

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

func TestCompareCommand(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.txt")
	if err := os.WriteFile(text, []byte("The capital of France is Paris.\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	out, stderr, status := runCLI(t, "compare", "mini", "mini", "--text", text, "--json")
	var q systemgemma.Quality
	if err := json.Unmarshal([]byte(out), &q); err != nil || status != 0 || q.All.KL != 0 || q.All.Top1 != 1 || !strings.HasPrefix(q.Text, "sha256 ") {
		t.Errorf("found %s, %s, status %d, %v", out, stderr, status, err)
	}
	out, _, status = runCLI(t, "compare", "mini", "mini", "--text", text, "--exact-a", "--tensors")
	if status != 0 || !strings.Contains(out, "KL mean") || !strings.Contains(out, "blk.5.ffn_down.weight") {
		t.Errorf("found %s, status %d", out, status)
	}
	for _, args := range [][]string{
		{"compare", "mini"}, {"compare", "mini", "mini", "--threads", "-1"}, {"compare", "mini", "mini", "--json", "--tensors"},
		{"convert", "mini", "--no-report", "--text", text}, {"convert", "mini", "--dry-run", "--card", "x.md"},
	} {
		if _, stderr, status := runCLI(t, args...); status != 2 || stderr == "" {
			t.Errorf("%v: want status 2 and a message, found %d, %q", args, status, stderr)
		}
	}
	if _, stderr, status := runCLI(t, "compare", "mini", "./none.gguf"); status != 1 || !strings.Contains(stderr, "none.gguf") {
		t.Errorf("a missing model: found status %d, %q", status, stderr)
	}
}

// A conversion shows its report, and writes it as a page and as a card.
func TestConvertReportPageAndCard(t *testing.T) {
	dir := t.TempDir()
	file, page, card := filepath.Join(dir, "m.gguf"), filepath.Join(dir, "m.html"), filepath.Join(dir, "README.md")
	out, stderr, status := runCLI(t, "convert", "mini", "--type", "w4", "-o", file, "--report", page, "--card", card)
	if status != 0 || !strings.Contains(out, "KL mean") || !strings.Contains(stderr, "report within") {
		t.Fatalf("found %s, %s, status %d", out, stderr, status)
	}
	if _, stderr, status := runCLI(t, "convert", "mini", "--card", card); status != 1 || !strings.Contains(stderr, "--force") {
		t.Errorf("a card that exists: found status %d, %q", status, stderr)
	}
	shown, _, _ := runCLI(t, "show", "-m", file)
	for l := range strings.Lines(out) {
		if strings.HasPrefix(l, "all ") && !strings.Contains(shown, l) {
			t.Errorf("show: want %q, found %s", l, shown)
		}
	}
	html := readText(t, page)
	i, j := strings.Index(html, "<svg"), strings.Index(html, "</svg>")
	if i < 0 || j < i || strings.Count(html, "<rect") != 43 || strings.Contains(html, "http") {
		t.Fatalf("want a page with 43 bars that needs nothing else, found %.400s", html)
	}
	for d := xml.NewDecoder(strings.NewReader(html[i : j+len("</svg>")])); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the picture: %v", err)
		}
	}
	text := readText(t, card)
	for _, want := range []string{"---\nlicense: apache-2.0\n", "\npipeline_tag: text-generation\n", "\nlibrary_name: systemgemma\n", "\n- \"w4\"\n---\n", "| w4 | all | ", "systemgemma run -m m.gguf", "## Usage and limitations"} {
		if !strings.Contains(text, want) {
			t.Errorf("card: want %q, found %s", want, text)
		}
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(readText(t, file)))); !strings.Contains(text, sum) {
		t.Errorf("card: want the file's SHA-256 %s", sum)
	}
}

// --opt 1 says in the file what it did; adapters are refused then.
func TestConvertOptimises(t *testing.T) {
	dir := t.TempDir()
	file, talk := filepath.Join(dir, "m.gguf"), filepath.Join(dir, "talk.jsonl")
	if err := os.WriteFile(talk, []byte(`{"messages": [{"role": "user", "content": "What is the capital of France?"}, {"role": "assistant", "content": "Paris."}]}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := runCLI(t, "convert", "mini", "--opt", "1", "--calibrate", talk, "-o", file); status != 0 {
		t.Fatalf("status %d, %s", status, stderr)
	}
	if shown, _, _ := runCLI(t, "show", "-m", file); !strings.Contains(shown, "norms, by the text sha256 ") {
		t.Errorf("show: found %s", shown)
	}
	if _, stderr, status := runCLI(t, "convert", file, "--lora", dir, "-o", filepath.Join(dir, "x.gguf")); status != 1 || !strings.Contains(stderr, "equalised") {
		t.Errorf("an adapter: found status %d, %s", status, stderr)
	}
	for want, args := range map[int][][]string{
		2: {{"--calibrate", talk}, {"--opt", "2"}},
		1: {{"--opt", "1", "--type", "w8a8-rotated"}, {"--opt", "1", "--type", "bf16"}, {"--opt", "1", "--to", "gguf"}, {"--opt", "1", "--calibrate", file + ".none"}},
	} {
		for _, a := range args {
			if _, stderr, status := runCLI(t, append([]string{"convert", "mini", "-o", filepath.Join(dir, "y.gguf")}, a...)...); status != want || stderr == "" {
				t.Errorf("%v: want status %d and a message, found %d, %s", a, want, status, stderr)
			}
		}
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func runCLI(t *testing.T, args ...string) (out, stderr string, status int) {
	t.Helper()
	p := newProcess("")
	status = p.run(t, args...)
	return p.out.String(), p.err.String(), status
}
