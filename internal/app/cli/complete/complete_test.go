package complete

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

type level string

func (level) Choices() []string { return []string{"low", "high"} }

type testFlags struct {
	Send struct {
		Level   level    `short:"l" group:"A" help:"How loud: or not."`
		Text    string   `xor:"text"`
		File    string   `xor:"text" placeholder:"FILE"`
		Out     string   `short:"o" placeholder:"DIR"`
		Tag     []string `placeholder:"TAG"`
		Verbose bool     `short:"v"`
		Secret  bool     `hidden:""`
		To      []string `arg:"" complete:"MODEL"`
	} `cmd:"" aliases:"post" help:"Send it. Really."`
	Keep struct {
		Kind string `arg:"" enum:"all,none"`
	} `cmd:""`
	Ghost struct{} `cmd:"" hidden:""`
}

func TestLine(t *testing.T) {
	k, err := kong.New(&testFlags{}, kong.Name("test"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		line  string // the last word is the current one
		want  string
		paths Paths
	}{
		{"", "send keep", None},
		{"s", "send", None},
		{"help ", "send keep", None},
		{"help s", "send", None},
		{"send --", "--help --level --text --file --out --tag --verbose", None},
		{"post --t", "--text --tag", None},
		{"send --level low --tag a --t", "--text --tag", None},
		{"send --level low --l", "", None},
		{"send --file=x --te", "", None}, // text and file exclude each other
		{"send --level ", "low high", None},
		{"send --level h", "high", None},
		{"send --level=", "--level=low --level=high", None},
		{"send -l ", "low high", None},
		{"send -vl ", "low high", None},
		{"send -vlhigh ", "mini", Files}, // the flag has its value
		{"send -v ", "mini", Files},
		{"send a b m", "mini", Files},
		{"send --file ", "", Files},
		{"send --file=", "", Files},
		{"send -o ", "", Folders},
		{"send --text ", "", None},
		{"send --text --level ", "mini", Files}, // --level is the text
		{"send -- --l", "", Files},
		{"keep ", "all none", None},
		{"keep all ", "", None},
		{"send --nonsense=", "", None},
		{"nonsense ", "", None},
	} {
		words := strings.Split(x.line, " ")
		last := len(words) - 1
		r := Line(k.Model, words[:last], words[last])
		var got []string
		for _, w := range r.Words {
			got = append(got, w.Text)
		}
		if !slices.Equal(got, strings.Fields(x.want)) || r.Paths != x.paths {
			t.Errorf("%q: %q and %s, want %q and %s", x.line, got, r.Paths, x.want, x.paths)
		}
	}
	if r := Line(k.Model, nil, "se"); r.Words[0].Help != "Send it" {
		t.Errorf("help is %q, want one sentence", r.Words[0].Help)
	}
	if r := Line(k.Model, []string{"send"}, "--file=a"); r.Prefix != "--file=" {
		t.Errorf("prefix %q, want --file=", r.Prefix)
	}
}

func TestScripts(t *testing.T) {
	for _, s := range Shells() {
		if text, err := Script(s); err != nil || !strings.Contains(text, "__complete") {
			t.Errorf("%s: %v, %q", s, err, text)
		}
	}
	if _, err := Script("../complete.go"); err == nil || !strings.Contains(err.Error(), "want bash, zsh, fish, powershell") {
		t.Errorf("error is %v", err)
	}
}

// No line of words breaks it.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"", "send --level=\x00", "send -l", "send - -- --", "help help send", "send --text\x00--\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		k, err := kong.New(&testFlags{}, kong.Name("test"))
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Split(line, " ")
		r := Line(k.Model, words[:len(words)-1], words[len(words)-1])
		for _, w := range r.Words {
			if !strings.HasPrefix(w.Text, words[len(words)-1]) {
				t.Errorf("%q is no completion of %q", w.Text, words[len(words)-1])
			}
		}
	})
}
