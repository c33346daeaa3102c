package tools

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
)

func read(t testing.TB, body string) ([]Tool, Choice, error) {
	t.Helper()
	f, err := option.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return Read(f)
}

const two = `"tools": [{"type": "function", "function": {"name": "weather", "description": "Tells the <weather>.",
	"parameters": {"type": "object", "properties": {"city": {"type": "string"}, "at": {"$ref": "#/$defs/at"}}, "required": ["city"], "$defs": {"at": {"enum": ["now", "later"]}}}}},
	{"type": "function", "name": "stop"}]`

func TestRender(t *testing.T) {
	all, c, err := read(t, "{"+two+"}")
	if err != nil || c != (Choice{Mode: Auto, Parallel: true}) {
		t.Fatal(err, c)
	}
	const block = `Tools:
{"name":"weather","description":"Tells the <weather>.","parameters":{"type":"object","properties":{"city":{"type":"string"},"at":{"$ref":"#/$defs/at"}},"required":["city"],"$defs":{"at":{"enum":["now","later"]}}}}
{"name":"stop"}
To call tools, answer with only {"tool_calls": [{"name": ..., "arguments": {...}}]}.`
	got := Render([]Message{
		{Role: "system", Content: "Be brief.\n"}, {Role: "user", Content: "Rain?"},
		{Role: "assistant", Calls: []Call{{ID: "a", Name: "weather", Arguments: json.RawMessage(`{"city":"<Bonn>"}`)}, {ID: "b", Name: "stop"}}},
		{Role: "tool", CallID: "a", Content: "12 C"}, {Role: "tool", Name: "stop", Content: "done"}, {Role: "tool", CallID: "unknown", Content: "?"},
	}, all, c)
	want := []systemgemma.Message{
		{Role: "system", Content: "Be brief.\n\n" + block}, {Role: "user", Content: "Rain?"},
		{Role: "assistant", Content: `{"tool_calls":[{"name":"weather","arguments":{"city":"<Bonn>"}},{"name":"stop","arguments":{}}]}`},
		{Role: "user", Content: "Tool result (weather): 12 C"}, {Role: "user", Content: "Tool result (stop): done"}, {Role: "user", Content: "Tool result: ?"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	alone := Render([]Message{{Role: "user", Content: "a"}}, all, c)
	if len(alone) != 2 || alone[0] != (systemgemma.Message{Role: "system", Content: block}) {
		t.Errorf("%v", alone)
	}
	if got := Render([]Message{{Role: "user", Content: "a"}}, all, Choice{Mode: None}); len(got) != 1 {
		t.Errorf("tool_choice none: %v", got)
	}
}

func TestParse(t *testing.T) {
	all := []Tool{{Name: "a"}, {Name: "b"}}
	for answer, want := range map[string]string{
		`{"tool_calls": [{"name": "a", "arguments": {"x": 1}}]}`:                                `a{"x":1}`,
		" \n{ \"tool_calls\" : [{\"name\":\"a\"}, {\"name\":\"b\",\"arguments\":null}] } \n":    `a{}b{}`,
		"```json\n{\"tool_calls\": [{\"name\": \"a\", \"arguments\": \"{\\\"x\\\":2}\"}]}\n```": `a{"x":2}`,
		`{"tool_calls": []}`: "", `{"tool_calls": [{"name": "c"}]}`: "", `{"tool_calls": [{"name": "a", "arguments": [1]}]}`: "", `Hello`: "", ``: "",
		`{"tool_calls": [{"name": "a"}]} and more`: "", `{"tool_calls": [{"name": "a"}`: "", `{"x": 1}`: "", `[{"name": "a"}]`: "",
	} {
		got := ""
		for _, c := range Parse(answer, all) {
			got += c.Name + string(c.Arguments)
			if !strings.HasPrefix(c.ID, "call_") {
				t.Errorf("id %q", c.ID)
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", answer, got, want)
		}
		if want != "" { // and no beginning of it is let through
			for i := range answer {
				if !MayBeCalls(answer[:i]) {
					t.Errorf("%q would be shown", answer[:i])
					break
				}
			}
		}
	}
	for _, text := range []string{"Hello", `{"x`, `{"tool_results"`, "```go", `"tool`, "{\"tool calls", "[1", "``x"} {
		if MayBeCalls(text) {
			t.Errorf("%q is held back", text)
		}
	}
}

func TestRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"tools": 3}`: "tools: want a list of objects", `{"tools": [3]}`: "tools[0]: want an object", `{"tools": [{"type": "web_search"}]}`: "tools[0].type: want function",
		`{"tools": [{"type": "function", "function": {}}]}`: "tools[0].function.name: want 1 to 64", `{"tools": [{"function": {"name": "a b"}}]}`: "name: want 1 to 64",
		`{"tools": [{"name": "a"}, {"name": "a"}]}`: `want names that differ, found "a" twice`, `{"tools": [{"name": "a", "parameters": []}]}`: "parameters: want a JSON schema",
		`{"tool_choice": "required"}`: "tool_choice: want tools beside it", `{"tool_choice": "some"}`: "tool_choice: want none, auto, required", `{"tool_choice": 3}`: "tool_choice: want an object",
		`{"tools": [{"name": "a"}], "tool_choice": {"type": "function", "function": {"name": "b"}}}`: "name: want the name of one of tools", `{"parallel_tool_calls": 3}`: "parallel_tool_calls",
		`{"tools": [` + strings.Repeat(`{"name":"a"},`, 128) + `{"name":"a"}]}`: "want at most 128",
	} {
		if _, _, err := read(t, body); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", body, err, want)
		}
	}
}

// Where a call is asked for, an answer is one, whatever the model would like to say.
func TestFormatMakesCalls(t *testing.T) {
	m, err := systemgemma.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, x := range []struct{ choice, names string }{
		{`"required"`, "weather stop"}, {`{"type": "function", "function": {"name": "weather"}}`, "weather"}, {`{"type": "function", "name": "stop"}`, "stop"},
	} {
		all, c, err := read(t, `{`+two+`, "tool_choice": `+x.choice+`}`)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Format(all, c)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(5) {
			o := systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{Format: f, MaxTokens: 150, Sampling: &systemgemma.Sampling{Temperature: 1, Seed: seed + 1}}}
			for e, err := range m.Chat(context.Background(), Render([]Message{{Role: "user", Content: "Weather in Bonn?"}}, all, c), &o) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Result == nil {
					continue
				}
				calls := Parse(e.Result.Text, all)
				if len(calls) == 0 {
					t.Errorf("%s: %q is no call", x.choice, e.Result.Text)
				}
				for _, call := range calls {
					var args struct{ City, At *string }
					if err := json.Unmarshal(call.Arguments, &args); err != nil || !strings.Contains(x.names, call.Name) || call.Name == "weather" && args.City == nil ||
						args.At != nil && *args.At != "now" && *args.At != "later" {
						t.Errorf("%s: %s %s", x.choice, call.Name, call.Arguments)
					}
				}
			}
		}
	}
	if f, err := Format([]Tool{{Name: "a"}}, Choice{Mode: Auto}); f != nil || err != nil {
		t.Errorf("auto: %v, %v", f, err)
	}
}

func TestMoved(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"object","properties":{"b":{"$ref":"#/$defs/x"},"a":{"$ref":"#"}},"$defs":{"x":{"enum":[1.50,"$ref",null,{"$ref":"#"}]}}}`: `{"type":"object","properties":{"b":{"$ref":"T/$defs/x"},"a":{"$ref":"T"}},"$defs":{"x":{"enum":[1.50,"$ref",null,{"$ref":"T"}]}}}`,
		`{}`: `{"type":"object"}`, `{"properties":{"type":{"type":"string"},"$ref":{"$ref":"other"}}}`: `{"properties":{"type":{"type":"string"},"$ref":{"$ref":"other"}},"type":"object"}`,
	} {
		if got, err := moved(json.RawMessage(in), "T"); err != nil || string(got) != want {
			t.Errorf("%s:\n%s, %v; want\n%s", in, got, err, want)
		}
	}
}

// However an answer is cut into pieces, a stream shows its text or its calls, never a part of calls.
func TestHold(t *testing.T) {
	all := []Tool{{Name: "a"}}
	for answer, calls := range map[string]int{
		`{"tool_calls": [{"name": "a", "arguments": {"x": 1}}]}`: 1, "```json\n{\"tool_calls\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}\n```": 2,
		`{"tool_calls": [{"name": "b"}]}`: 0, `{"tools": 3}`: 0, "a text": 0, "": 0, "```python\n1\n```": 0,
	} {
		for size := 1; size <= len(answer)+1; size++ {
			for mode, want := range map[Mode]int{Auto: calls, None: 0} {
				h, shown := NewHold(all, Choice{Mode: mode}), ""
				for rest := answer; rest != ""; {
					n := min(size, len(rest))
					shown += h.Text(rest[:n])
					rest = rest[n:]
				}
				got, end := h.End()
				if shown += end; len(got) != want || want == 0 && shown != answer || want > 0 && shown != "" {
					t.Errorf("%q in pieces of %d: %v and %q, want %d calls", answer, size, got, shown, want)
				}
				if got := Calls(answer, all, Choice{Mode: mode}); len(got) != want {
					t.Errorf("%q: %v, want %d calls", answer, got, want)
				}
			}
		}
	}
}
