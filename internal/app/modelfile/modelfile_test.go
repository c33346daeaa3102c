package modelfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma"
)

const example = `# a comment
FROM ./model.gguf
system """You are terse.
Two lines."""

PARAMETER temperature 0.5
PARAMETER stop <end_of_turn>
Parameter STOP "two words "
PARAMETER seed 42
ADAPTER ./adapter
MESSAGE user Hi
MESSAGE assistant """Hello
there"""
LICENSE "free"
`

func TestParseAndWrite(t *testing.T) {
	f, err := Parse(example)
	if err != nil {
		t.Fatal(err)
	}
	temperature, seed := 0.5, int64(42)
	want := &File{
		From: "./model.gguf", System: "You are terse.\nTwo lines.", Adapters: []string{"./adapter"}, Licenses: []string{"free"},
		Parameters: Parameters{Temperature: &temperature, Seed: &seed, Stop: []string{"<end_of_turn>", "two words "}},
		Messages:   []Message{{"user", "Hi"}, {"assistant", "Hello\nthere"}},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
	again, err := Parse(f.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, f)
	}
	if diff := cmp.Diff(f, again); diff != "" {
		t.Errorf("written and read (-want +got):\n%s\n%s", diff, f)
	}
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	if err := (&File{From: "x", System: `says """so"""`}).Check(); err == nil {
		t.Error("a text with triple quotes passes for one that a Modelfile can say")
	}
}

// An empty SYSTEM is one: a model made of another shall have none.
func TestEmptySystem(t *testing.T) {
	f, err := Parse("FROM x\nSYSTEM \"\"\n")
	if err != nil || !f.NoSystem || f.System != "" {
		t.Fatalf("%+v, %v", f, err)
	}
	if again, err := Parse(f.String()); err != nil || !again.NoSystem {
		t.Errorf("%+v, %v", again, err)
	}
	for _, twice := range []string{"FROM x\nSYSTEM \"\"\nSYSTEM y\n", "FROM x\nSYSTEM y\nSYSTEM \"\"\n"} {
		if _, err := Parse(twice); err == nil {
			t.Errorf("%q is accepted", twice)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, part := range map[string]string{
		"":                                  "want FROM",
		"SYSTEM x":                          "want FROM",
		"FROM x\nFROM y":                    "line 2: FROM: want it once",
		"FROM x\nBOGUS y":                   "line 2: BOGUS: not known",
		"FROM x\nPARAMETER num_gpu 3":       "num_gpu can't be honoured",
		"FROM x\nPARAMETER heat 3":          `"heat" is not known`,
		"FROM x\nPARAMETER temperature hot": "want a number",
		"FROM x\nPARAMETER temperature -1":  "temperature",
		"FROM x\nPARAMETER top_k 1.5":       "want a whole number",
		"FROM x\nPARAMETER num_ctx 0":       "want 1 or more",
		"FROM x\nPARAMETER":                 "want a name and a value",
		"FROM x\nMESSAGE tool x":            "want the role",
		"FROM x\nREQUIRES 0.14":             "can't be honoured",
		"FROM x\nSYSTEM \"\"\"a":            "not closed",
		"FROM x\nSYSTEM \"a\" b":            "after the closing quote",
		"FROM \xff":                         "UTF-8",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: want an error with %q, got %v", text, part, err)
		}
	}
}

func TestFromLayer(t *testing.T) {
	p, ignored, err := FromLayer(`{"stop": ["<start_of_turn>", "<end_of_turn>"], "temperature": 0.64, "num_gpu": 99, "odd": true, "repeat_last_n": 0, "repeat_penalty": 1.2}`)
	if err != nil || len(p.Stop) != 2 || *p.Temperature != 0.64 || strings.Join(ignored, " ") != "num_gpu odd" {
		t.Errorf("%+v, ignored %v, %v", p, ignored, err)
	}
	s := p.Sampling(systemgemma.Sampling{TopK: 7})
	if s.Temperature != 0.64 || s.TopK != 7 || s.RepetitionPenalty != 0 {
		t.Errorf("sampling %+v: repeat_last_n 0 turns penalties off", s)
	}
	for _, text := range []string{"", "[]", `{"temperature": {}}`, `{"temperature": "hot"}`, `{"stop": [null]}`} {
		if _, _, err := FromLayer(text); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestTemplatesAreOurModes(t *testing.T) {
	text, err := systemgemma.OpenText(systemgemma.Mini, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range templates {
		if mode, err := Mode(x.text); err != nil || mode != x.mode {
			t.Errorf("%s reads as %q, %v", x.mode, mode, err)
		}
		c, err := parseTemplate(x.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range probes {
			var messages []systemgemma.Message
			for _, m := range p {
				messages = append(messages, systemgemma.Message(m))
			}
			r, err := text.Render(messages, systemgemma.RenderOptions{SystemMode: x.mode, GenerationPrompt: true})
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.render(p)
			if err != nil || "<bos>"+got != r.Text {
				t.Errorf("%s: %v\nwant %q\n got %q (%v)", x.mode, p, r.Text, "<bos>"+got, err)
			}
		}
	}
}

func TestTemplatesByOthers(t *testing.T) {
	for text, want := range map[string]string{
		"<start_of_turn>user\n{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}<end_of_turn>\n<start_of_turn>model\n{{ .Response }}<end_of_turn>":     "merge-space",
		"<start_of_turn>user\n{{- with .System }}\n{{ . }}\n{{ end }}\n{{ .Prompt }}<end_of_turn>\n<start_of_turn>model\n{{ .Response }}<end_of_turn>\n": "merge",
		`{{- $s := "" }}{{ range $i, $m := .Messages }}{{ if eq $m.Role "system" }}<start_of_turn>developer
{{ $m.Content }}<end_of_turn>
{{ else }}<start_of_turn>{{ if eq $m.Role "user" }}user{{ else }}model{{ end }}
{{ $m.Content }}<end_of_turn>
{{ end }}{{ if eq (len (slice $.Messages $i)) 1 }}<start_of_turn>model
{{ end }}{{ end }}`: "developer-turn",
	} {
		if mode, err := Mode(text); err != nil || mode != want {
			t.Errorf("want %s, got %q, %v\n%s", want, mode, err, text)
		}
	}
	for text, part := range map[string]string{
		"": "",
		"[INST] {{ .System }} {{ .Prompt }} [/INST]":                        "become",
		userTurn + "{{ .Prompt }}" + endTurn + modelTurn:                    "leaves system prompts out",
		"{{ range 1000000000 }}x{{ end }}":                                  ".Messages",
		`{{ printf "%1000000000d" 1 }}`:                                     "printf is not taken",
		`{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`:     "templates of its own",
		"{{ range .Messages }}{{ range $.Messages }}{{ range $.Messages }}": "",
		"{{ .Secret }}":      ".Secret is not known",
		"{{ call .System }}": "call is not taken",
		"{{ .Messages":       "",
	} {
		if mode, err := Mode(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: want an error with %q, got mode %q, %v", text, part, mode, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add("FROM x\nSYSTEM \"\"\"\"\"\"")
	f.Add("FROM \"a b\"\nMESSAGE user \"\"\nPARAMETER top_k 3")
	f.Fuzz(func(t *testing.T, text string) {
		x, err := Parse(text)
		if err != nil {
			return
		}
		if x.Check() != nil {
			return // it holds quotes as no Modelfile can write them
		}
		again, err := Parse(x.String())
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, x)
		}
		if diff := cmp.Diff(x.String(), again.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzMode(f *testing.F) {
	for _, x := range templates {
		f.Add(x.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if mode, err := Mode(text); err == nil {
			if _, ok := GoTemplate(mode); !ok {
				t.Errorf("%q is no mode", mode)
			}
		}
	})
}

func FuzzFromLayer(f *testing.F) {
	f.Add(`{"stop": ["a"], "temperature": 1}`)
	f.Fuzz(func(t *testing.T, text string) {
		if p, _, err := FromLayer(text); err == nil {
			s := p.Sampling(systemgemma.Sampling{Temperature: 1})
			if err := s.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
