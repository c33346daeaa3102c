package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/systemgemma/systemgemma"
	"pgregory.net/rapid"
)

// Each script is inputs and, after =>, what the model was asked last or what was shown.
func TestConversations(t *testing.T) {
	for name, script := range map[string][]string{
		"history": {
			"hi", "=> user: hi",
			"more", "=> user: hi | assistant: A1 | user: more",
		},
		"system prompt": {
			"/system Be brief.", "=> (system prompt set)",
			"hi", "=> system: Be brief. | user: hi",
			"/system", "=> Be brief.",
			`/system ""`, "=> (no system prompt from now on)",
			"more", "=> user: hi | assistant: A1 | user: more",
			"/system", "=> (no system prompt)",
		},
		"clear keeps the system prompt": {
			"/system S", "hi", "/clear", "=> (conversation cleared)",
			"more", "=> system: S | user: more",
		},
		"undo": {
			"/undo", "=> error: /undo: nothing to undo",
			"one", "two", "/undo", "=> (last exchange removed, 1 left)",
			"three", "=> user: one | assistant: A1 | user: three",
		},
		"retry": {
			"/retry", "=> error: /retry: nothing to answer again",
			"one", "two", "/retry", "=> user: one | assistant: A1 | user: two",
			"three", "=> user: one | assistant: A1 | user: two | assistant: A3 | user: three",
		},
		"show": {
			"/show", "=> error: /show: nothing said yet",
			"hi", "/show", "=> user: hi | assistant: A1\n\n2 tokens: 2 7",
			"/set system-mode strict", "/show", "=> error: /show: strict: system role not supported",
		},
		"wrong use": {
			"/foo", "=> error: no command /foo; /help lists them (to send a text that begins with /, put a space before it)",
			"/clear all", `=> error: /clear: want no argument, found "all"`,
			"/save", "=> error: /save: want /save FILE",
			"/set foo", `=> error: /set: want /set NAME VALUE, found "foo" only`,
		},
		"a text that begins with a slash": {" /etc is?", "=> user:  /etc is?"},
		"blank input":                     {"hi", "  \n ", "=> "},
		"many lines":                      {"a\nb", "=> user: a\nb", "/system a\nb", "more", "=> system: a\nb | user: a\nb | assistant: A1 | user: more"},
		"a command at a line's end":       {"/system\nBe brief.", "hi", "=> system: Be brief. | user: hi"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{answers: []string{"A1", "A2", "A3", "A4"}}
			s := New(f, Config{})
			last := ""
			for _, line := range script {
				if want, ok := strings.CutPrefix(line, "=> "); ok {
					if last != want {
						t.Errorf("got %q, want %q", last, want)
					}
					continue
				}
				asked := len(f.asked)
				r := say(t, s, line)
				last = r.Text
				if r.Err != nil {
					last = "error: " + r.Err.Error()
				}
				if len(f.asked) > asked {
					last = f.ask()
				}
			}
		})
	}
}

func TestHelpListsAllCommands(t *testing.T) {
	help := New(&fake{}, Config{}).Submit("/?").Text
	for _, c := range commands() {
		if !strings.Contains(help, "  "+c.name+" ") {
			t.Errorf("help lacks %s:\n%s", c.name, help)
		}
	}
}

func TestQuitWords(t *testing.T) {
	for _, word := range []string{"/quit", "/bye", "/exit"} {
		if r := New(&fake{}, Config{}).Submit(word); !r.Quit {
			t.Errorf("%s: %+v, want Quit", word, r)
		}
	}
}

func TestOptionsReachTheModel(t *testing.T) {
	f := &fake{defaults: systemgemma.Sampling{Temperature: 0.5, TopK: 50}}
	seven := 7
	s := New(f, Config{Options: Options{TopK: &seven, MaxTokens: 9, Stop: []string{"x"}, IgnoreEOS: true, Lookup: true, ContextOverflow: "drop-oldest-turns"}, SystemMode: "turn"})
	say(t, s, "hi")
	want := &systemgemma.ChatOptions{
		GenerateOptions: systemgemma.GenerateOptions{Sampling: &systemgemma.Sampling{Temperature: 0.5, TopK: 7}, MaxTokens: 9, Stop: []string{"x"}, IgnoreEOS: true, Lookup: true, Progress: true},
		SystemMode:      "turn",
		Context:         systemgemma.ContextDropOldest,
	}
	if diff := cmp.Diff(want, f.options[0]); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestRetryDrawsANewSeed(t *testing.T) {
	f := &fake{defaults: systemgemma.Sampling{Temperature: 1}}
	s := New(f, Config{})
	for _, line := range []string{"/set seed 5", "hi", "/retry", "more"} {
		say(t, s, line)
	}
	var seeds []uint64
	for _, o := range f.options {
		seeds = append(seeds, o.Sampling.Seed)
	}
	if want := []uint64{5, 0, 5}; !slices.Equal(seeds, want) {
		t.Errorf("seeds = %v, want %v", seeds, want)
	}
}

func TestRetryAtTemperatureZeroSaysSo(t *testing.T) {
	s := New(&fake{}, Config{})
	say(t, s, "hi")
	if r := s.Submit("/retry"); !r.Answer || !strings.Contains(r.Text, "temperature is 0") {
		t.Errorf("reply = %+v, want an answer and a note about temperature 0", r)
	}
}

// A failed answer leaves the chat as it was, and says what to do.
func TestFailureKeepsTheChat(t *testing.T) {
	full := fmt.Errorf("prompt is 12 tokens: %w", systemgemma.ErrContextLength)
	f := &fake{answers: []string{"A1", "-", "-", "A2"}}
	s := New(f, Config{})
	say(t, s, "one")
	for _, input := range []string{"two", "/retry"} {
		f.fail = full
		r := say(t, s, input)
		if !errors.Is(r.Err, systemgemma.ErrContextLength) || !strings.Contains(r.Err.Error(), "/undo") || !strings.Contains(r.Err.Error(), "/clear") {
			t.Errorf("%s: error = %v, want it to name /undo and /clear", input, r.Err)
		}
	}
	say(t, s, "three")
	if got, want := f.ask(), "user: one | assistant: A1 | user: three"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestStoppedAnswers(t *testing.T) {
	cancelled := func(text string) *systemgemma.Result {
		return &systemgemma.Result{Text: text, FinishReason: systemgemma.FinishCancel}
	}
	f := &fake{}
	s := New(f, Config{})
	s.Submit("one")
	if r := s.Finish(cancelled("half"), context.Canceled); r.Err != nil || !strings.Contains(r.Text, "stopped") {
		t.Errorf("reply = %+v, want a note that it was stopped", r)
	}
	s.Submit("two")
	s.Finish(cancelled(""), context.Canceled)
	s.Submit("/retry")
	s.Finish(cancelled(""), context.Canceled)
	say(t, s, "three")
	if got, want := f.ask(), "user: one | assistant: half | user: three"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestNotesAfterAnAnswer(t *testing.T) {
	s := New(&fake{}, Config{Stats: true})
	s.Submit("hi")
	r := s.Finish(&systemgemma.Result{
		Text: "x", IDs: make([]int32, 11), PromptIDs: make([]int32, 30), CachedTokens: 20, FinishReason: systemgemma.FinishLength,
		Warnings: []string{"odd"}, TTFT: 1500 * time.Millisecond, Prefill: time.Second, Decode: 2 * time.Second,
	}, nil)
	want := "(ended by max-tokens or the end of the context)\nwarning: odd\n" +
		"prompt 30 tokens (20 cached), prefill 10.0 tok/s; answer 11 tokens, decode 5.0 tok/s; first token after 1.500 s"
	if r.Text != want {
		t.Errorf("notes = %q, want %q", r.Text, want)
	}
	if got := Stats(&systemgemma.Result{}); !strings.Contains(got, "prefill -") {
		t.Errorf("Stats of nothing = %q, want no speed", got)
	}
}

// Whatever is typed: no panic, and the model always gets user and assistant in turn, ending with the user.
func TestAnyInputsKeepTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &fake{}
		s := New(f, Config{})
		inputs := rapid.SliceOfN(rapid.OneOf(
			rapid.SampledFrom([]string{"hi", "/undo", "/retry", "/clear", "/system x", "/system \"\"", "/show", "/set", "/set top-k 3", "/help"}),
			rapid.String()), 1, 30).Draw(t, "inputs")
		for _, input := range inputs {
			if strings.HasPrefix(input, "/save") || strings.HasPrefix(input, "/load") || !s.Submit(input).Answer {
				continue
			}
			answer := s.Answer(context.Background())
			switch rapid.IntRange(0, 2).Draw(t, "end") {
			case 0:
				finish(s, answer)
			case 1:
				s.Finish(nil, errors.New("fault"))
			case 2:
				s.Finish(&systemgemma.Result{FinishReason: systemgemma.FinishCancel}, context.Canceled)
			}
		}
		for _, messages := range f.asked {
			if len(messages) > 0 && messages[0].Role == "system" {
				messages = messages[1:]
			}
			for i, m := range messages {
				if want := []string{"user", "assistant"}[i%2]; m.Role != want {
					t.Fatalf("message %d of %s: role %s, want %s", i, transcript(messages), m.Role, want)
				}
			}
			if len(messages)%2 != 1 {
				t.Fatalf("asked %s: want the user last", transcript(messages))
			}
		}
	})
}
