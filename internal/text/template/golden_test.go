package template

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// rendered is a line of rendered.jsonl: what transformers makes of a conversation.
type rendered struct {
	Template     string
	Conversation string
	Add          bool `json:"add_generation_prompt"`
	Continue     bool `json:"continue_final_message"`
	Text         *string
	IDs          []int32
	Error        *struct{ Kind, Message string }
}

func conversations(t *testing.T, dir string) map[string][]Message {
	all := map[string][]Message{}
	for c := range golden.Lines[struct {
		Name     string
		Messages []map[string]any
	}](t, filepath.Join(dir, "conversations.jsonl")) {
		var list []Message
		for _, m := range c.Messages {
			role, isText := m["role"].(string)
			content, isText2 := m["content"].(string)
			if !isText || !isText2 || len(m) != 2 {
				list = nil // content of other types: the interpreter's tests have them
				break
			}
			list = append(list, Message{role, content})
		}
		all[c.Name] = list
	}
	return all
}

// usual says whether the modes promise the template's own text: [system] user (assistant user)*, or what is continued of it.
func usual(mode string, messages []Message) bool {
	if len(messages) > 0 && messages[0].Role == "system" {
		messages = messages[1:]
	}
	for i, m := range messages {
		if m.Role != []string{"user", "assistant"}[i%2] {
			return false
		}
	}
	return len(messages) > 0
}

// The built-in modes give the text of the template of the same name, and strict its errors.
func TestGoldenModes(t *testing.T) {
	dir := golden.Dir(t, "templates")
	all := conversations(t, dir)
	cases := 0
	for c := range golden.Lines[rendered](t, filepath.Join(dir, "rendered.jsonl.gz")) {
		mode, err := ParseMode(c.Template)
		messages := all[c.Conversation]
		if err != nil || messages == nil || !usual(c.Template, messages) || c.Error != nil && mode != Strict {
			continue
		}
		trailing := messages[len(messages)-1].Role == "assistant"
		if c.Add && trailing && mode != Strict || c.Continue && !trailing {
			continue // the library opens a second turn of the model, or continues a user's: we continue the model's
		}
		if c.Continue && trim(messages[len(messages)-1].Content) == "" {
			continue // the library's prompt then ends within the role's line; ours is at the beginning of the text
		}
		segments, err := Render(mode, messages, Options{AddGenerationPrompt: c.Add, ContinueFinal: c.Continue})
		switch {
		case c.Error != nil && (err == nil || c.Error.Kind != "raise" || err.Error() != c.Error.Message):
			t.Errorf("%s, %s: error %v, want %v", c.Template, c.Conversation, err, c.Error)
		case c.Error == nil && (err != nil || Text(segments) != *c.Text):
			t.Errorf("%s, %s, continue %v:\n got %q, %v\nwant %q", c.Template, c.Conversation, c.Continue, Text(segments), err, *c.Text)
		}
		cases++
	}
	golden.Count(t, cases)
}

// Custom templates give the library's text, or an error where it gives one: whatever the roles, contents and names.
func TestGoldenCustom(t *testing.T) {
	dir := golden.Dir(t, "templates")
	raw := map[string]json.RawMessage{}
	for c := range golden.Lines[struct {
		Name     string
		Messages json.RawMessage
	}](t, filepath.Join(dir, "conversations.jsonl")) {
		raw[c.Name] = c.Messages
	}
	custom := map[string]*Custom{}
	cases := 0
	for c := range golden.Lines[rendered](t, filepath.Join(dir, "rendered.jsonl.gz")) {
		if custom[c.Template] == nil {
			var err error
			if custom[c.Template], err = ParseCustom(string(golden.Read(t, filepath.Join(dir, "jinja", c.Template+".jinja")))); err != nil {
				t.Fatal(err)
			}
		}
		segments, err := custom[c.Template].RenderJSON(raw[c.Conversation], Options{AddGenerationPrompt: c.Add, ContinueFinal: c.Continue})
		if c.Error != nil {
			if err == nil || c.Error.Kind == "raise" && err.Error() != c.Error.Message {
				t.Errorf("%s, %s: error %v, want %v", c.Template, c.Conversation, err, c.Error)
			}
		} else if err != nil || Text(segments) != *c.Text {
			t.Errorf("%s, %s, continue %v:\n got %q, %v\nwant %q", c.Template, c.Conversation, c.Continue, Text(segments), err, *c.Text)
		}
		cases++
	}
	golden.Count(t, cases)
}

// Encoding segments one by one gives the ids of the whole prompt.
func TestGoldenSegmentIDs(t *testing.T) {
	path := os.Getenv("SYSTEMGEMMA_GEMMA_TOKENIZER")
	if path == "" {
		t.Skip("set SYSTEMGEMMA_GEMMA_TOKENIZER to Gemma's tokenizer.json(.gz) to compare ids")
	}
	vocab, err := tokenizer.ParseJSON(golden.Read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(vocab)
	if err != nil {
		t.Fatal(err)
	}
	dir := golden.Dir(t, "templates")
	all := conversations(t, dir)
	cases := 0
	for c := range golden.Lines[rendered](t, filepath.Join(dir, "rendered.jsonl.gz")) {
		mode, err := ParseMode(c.Template)
		messages := all[c.Conversation]
		spelled := slices.ContainsFunc(messages, func(m Message) bool {
			return slices.ContainsFunc(control, func(s string) bool { return strings.Contains(m.Content, s) })
		})
		if err != nil || c.IDs == nil || !usual(c.Template, messages) || spelled || c.Continue || c.Add && messages[len(messages)-1].Role == "assistant" {
			continue
		}
		segments, err := Render(mode, messages, Options{AddGenerationPrompt: c.Add})
		if err != nil {
			t.Fatal(err)
		}
		var ids []int32
		for _, s := range segments {
			if s.Control {
				ids = tok.AppendSpecial(ids, s.Text)
			} else {
				ids = tok.AppendText(ids, s.Text)
			}
		}
		if !slices.Equal(ids, c.IDs) {
			t.Errorf("%s, %s:\n got %v\nwant %v", c.Template, c.Conversation, ids, c.IDs)
		}
		cases++
	}
	golden.Count(t, cases)
}

// auto takes the mode from the file's template.
func TestGoldenDetect(t *testing.T) {
	dir := filepath.Join(golden.Dir(t, "templates"), "jinja")
	cases := 0
	for name, want := range map[string]Mode{
		"systemgemma2": SystemGemma2, "lenient": SystemGemma2, "merge": Merge, "merge-nl": MergeNewline, "merge-space": MergeSpace, "turn": Turn,
		"developer-turn": DeveloperTurn, "exchange": Exchange, "strict": Merge,
	} {
		got, why := Detect(string(golden.Read(t, filepath.Join(dir, name+".jinja"))))
		if got != want || why == "" {
			t.Errorf("%s: mode %s (%s), want %s", name, got, why, want)
		}
		cases++
	}
	golden.Count(t, cases)
}
