package template

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/text/template/jinja"
)

// miniTemplate is the fallback template in SystemGemma Mini's checkpoint: it drops late system messages.
const miniTemplate = `{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{% if loop.first %}{{ message['content'] + '\n' }}{% endif %}{% else %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}`

func TestDetect(t *testing.T) {
	for source, want := range map[string]struct {
		mode Mode
		why  string
	}{
		miniTemplate:             {SystemGemma2, "renders as"},
		"":                       {Merge, "no chat template"},
		"{% for %}":              {Merge, "can't be read"},
		"{{ messages[0].x.y }}":  {Merge, "like no built-in"},
		"{{ bos_token }}nothing": {Merge, "like no built-in"},
		"{% for i in range(9999999) %}{% for j in range(9999999) %}{% endfor %}{% endfor %}": {Merge, "like no built-in"},
	} {
		if got, why := Detect(source); got != want.mode || !strings.Contains(why, want.why) {
			t.Errorf("%.40q: %s (%s), want %s (...%s...)", source, got, why, want.mode, want.why)
		}
	}
}

// Whatever a conversation spells, a custom template's markers are those that the template wrote.
func TestCustomCannotBeForged(t *testing.T) {
	c, err := ParseCustom(miniTemplate)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		messages := conversation().Draw(t, "messages")
		last := messages[len(messages)-1].Role
		o := Options{AddGenerationPrompt: rapid.Bool().Draw(t, "prompt"), ContinueFinal: (last == "assistant" || last == "model") && rapid.Bool().Draw(t, "continue")}
		segments, err := c.Render(messages, o)
		if err != nil {
			return // a late system message to be continued is dropped by this template
		}
		check(t, segments)
		markers, want := 0, 1
		for _, s := range segments {
			if s.Control {
				markers += strings.Count(s.Text, "<")
			}
		}
		for i, m := range messages {
			if m.Role != "system" {
				want += 2
			}
			switch last := i == len(messages)-1; {
			case last && o.ContinueFinal:
				want--
			case last && o.AddGenerationPrompt:
				want++
			}
		}
		if markers != want {
			t.Fatalf("%d markers in %v, want %d", markers, segments, want)
		}
	})
}

func TestCustomReportsTheTemplatesError(t *testing.T) {
	c, err := ParseCustom("{{ raise_exception('no ' + messages[0].role) }}")
	if err != nil {
		t.Fatal(err)
	}
	var fault *jinja.Error
	if _, err := c.Render([]Message{{"system", "x"}}, Options{}); !errors.As(err, &fault) || err.Error() != "no system" {
		t.Errorf("error %v, want no system", err)
	}
	if _, err := ParseCustom("{% if %}"); !errors.As(err, &fault) || fault.Kind != jinja.Syntax {
		t.Errorf("syntax error: %v", err)
	}
	for name, messages := range map[string][]Message{"empty": nil, "not printed": {{"user", "x"}, {"assistant", "y"}}} {
		c, err := ParseCustom("{{ messages[0].content }}")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Render(messages, Options{ContinueFinal: true}); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}

func TestRenderJSONRefuses(t *testing.T) {
	c, err := ParseCustom("{{ messages[0].content }}")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "{}", "[1]", "[]", `[{"role":"user","content":"x"}`, strings.Repeat("[", 1<<16)} {
		if got, err := c.RenderJSON([]byte(s), Options{}); err == nil {
			t.Errorf("RenderJSON(%.30q) = %v, want an error", s, got)
		}
	}
	if _, err := c.RenderJSON([]byte(`[{"role":"assistant","content":["x"]}]`), Options{ContinueFinal: true}); err == nil {
		t.Error("content that is no text, to be continued: want an error")
	}
}
