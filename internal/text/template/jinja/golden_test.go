package jinja

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// construct is one line of constructs.jsonl, which tools/golden/templates.py writes with the reference's Jinja.
type construct struct {
	Name     string
	Template string
	Context  json.RawMessage
	Text     *string
	Error    *struct{ Kind, Message string }
}

func TestGoldenConstructs(t *testing.T) {
	n := 0
	for c := range golden.Lines[construct](t, filepath.Join(golden.Dir(t, "templates"), "constructs.jsonl")) {
		n++
		got, err := renderJSON(t, c.Template, c.Context)
		var fault *Error
		switch {
		case c.Error == nil && err != nil:
			t.Errorf("%s: template %q: error %v, want text %q", c.Name, c.Template, err, *c.Text)
		case c.Error == nil && got != *c.Text:
			t.Errorf("%s: template %q, context %s:\n got %q\nwant %q", c.Name, c.Template, c.Context, got, *c.Text)
		case c.Error != nil && !errors.As(err, &fault):
			t.Errorf("%s: template %q: text %q, want %s error %q", c.Name, c.Template, got, c.Error.Kind, c.Error.Message)
		case c.Error != nil && fault.Kind.String() != c.Error.Kind:
			t.Errorf("%s: template %q: %s error %q, want %s error %q", c.Name, c.Template, fault.Kind, fault.Message, c.Error.Kind, c.Error.Message)
		case c.Error != nil && c.Error.Kind == "raise" && fault.Message != c.Error.Message:
			t.Errorf("%s: template %q: raised %q, want %q", c.Name, c.Template, fault.Message, c.Error.Message)
		}
	}
	golden.Count(t, n)
}

func renderJSON(t testing.TB, source string, vars json.RawMessage) (string, error) {
	t.Helper()
	tpl, err := Parse(source)
	if err != nil {
		return "", err
	}
	v, err := FromJSON(vars)
	if err != nil {
		t.Fatal(err)
	}
	segs, err := tpl.Render(v.(Object))
	return joined(segs), err
}

// rendered is one line of rendered.jsonl.gz.
type rendered struct {
	Template, Conversation string
	Add                    bool `json:"add_generation_prompt"`
	Continue               bool `json:"continue_final_message"`
	Text                   *string
	Error                  *struct{ Kind, Message string }
}

// The templates in use give every conversation the text that the reference gives it, or its error.
func TestGoldenRendered(t *testing.T) {
	dir := golden.Dir(t, "templates")
	if os.Getenv("SYSTEMGEMMA_GOLDEN") == "" {
		dir = filepath.Join("..", dir) // package template keeps them
	}
	messages := map[string][]any{}
	for c := range golden.Lines[struct {
		Name     string
		Messages json.RawMessage
	}](t, filepath.Join(dir, "conversations.jsonl")) {
		v, err := FromJSON(c.Messages)
		if err != nil {
			t.Fatal(err)
		}
		messages[c.Name] = v.([]any)
	}
	templates := map[string]*Template{}
	n := 0
	for c := range golden.Lines[rendered](t, filepath.Join(dir, "rendered.jsonl.gz")) {
		n++
		if templates[c.Template] == nil {
			var err error
			if templates[c.Template], err = Parse(string(golden.Read(t, filepath.Join(dir, "jinja", c.Template+".jinja")))); err != nil {
				t.Fatal(err)
			}
		}
		got, err := applyChatTemplate(templates[c.Template], messages[c.Conversation], c.Add, c.Continue)
		var fault *Error
		switch {
		case c.Error == nil && (err != nil || got != *c.Text):
			t.Errorf("%s, %s, add %v, continue %v:\n got %q, error %v\nwant %q", c.Template, c.Conversation, c.Add, c.Continue, got, err, *c.Text)
		case c.Error == nil:
		case err == nil:
			t.Errorf("%s, %s: text %q, want %s error %q", c.Template, c.Conversation, got, c.Error.Kind, c.Error.Message)
		case errors.As(err, &fault) && (fault.Kind.String() != c.Error.Kind || fault.Kind == Raise && fault.Message != c.Error.Message):
			t.Errorf("%s, %s: %s error %q, want %s error %q", c.Template, c.Conversation, fault.Kind, fault.Message, c.Error.Kind, c.Error.Message)
		}
	}
	golden.Count(t, n)
}

// applyChatTemplate does what transformers does around a template: an empty conversation is refused, a name whose value is null is absent, and
// a last message to be continued is rendered with a mark behind it where the text is then cut.
func applyChatTemplate(tpl *Template, messages []any, add, toContinue bool) (string, error) {
	if len(messages) == 0 {
		return "", errors.New("empty conversation")
	}
	const mark = "CONTINUE_FINAL_MESSAGE_TAG "
	var list []any
	for i, m := range messages {
		var o Object
		for _, f := range m.(Object) {
			if s, ok := f.Value.(string); ok && f.Name == "content" && toContinue && i == len(messages)-1 {
				f.Value = s + mark
			}
			if f.Value != nil {
				o = append(o, f)
			}
		}
		list = append(list, o)
	}
	segs, err := tpl.Render(Object{{"messages", list}, {"tools", nil}, {"documents", nil}, {"add_generation_prompt", add},
		{"bos_token", Literal("<bos>")}, {"eos_token", Literal("<eos>")}, {"pad_token", Literal("<pad>")}, {"unk_token", Literal("<unk>")}})
	text := joined(segs)
	if err != nil || !toContinue {
		return text, err
	}
	at := strings.LastIndex(text, strings.TrimSpace(mark))
	if strings.HasPrefix(text[at:], mark) {
		return text[:at], nil
	}
	return strings.TrimRightFunc(text[:at], isSpace), nil
}
