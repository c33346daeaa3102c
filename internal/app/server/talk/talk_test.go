package talk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens Mini for a request.
func open(t *testing.T, body string) (*Request, error) {
	t.Helper()
	set, err := hosted.New(hosted.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.Background()) })
	f, err := option.Decode([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	q, err := Open(context.Background(), set, f, option.OpenAI, 8)
	if err == nil {
		t.Cleanup(q.Lease.Release)
	}
	return q, err
}

func TestRuns(t *testing.T) {
	q, err := open(t, `{"n":3,"temperature":1}`)
	if err != nil {
		t.Fatal(err)
	}
	seed := q.Want.Sampling.Seed
	if a, b := q.Options(0), q.Options(2); q.Runs() != 3 || seed == 0 || a.Sampling.Seed != seed || b.Sampling.Seed != seed+2 || q.Want.Sampling.Seed != seed {
		t.Errorf("%d runs, seeds from %d: %d and %d", q.Runs(), seed, a.Sampling.Seed, b.Sampling.Seed)
	}
	if q, err = open(t, `{"n":3,"temperature":0,"best_of":4,"system_mode":"merge"}`); err != nil || q.Runs() != 1 || q.Mode() != "merge" {
		t.Errorf("%+v, %v", q, err)
	}
	if q, err = open(t, `{"stop_token_ids":[7]}`); err != nil || q.Mode() != q.Lease.Info.SystemMode || !q.End[7] || !q.End[q.Lease.Info.EOS[0]] {
		t.Errorf("%+v, %v", q, err)
	}
	if q, err = open(t, `{"ignore_eos":true}`); err != nil || q.End[q.Lease.Info.EOS[0]] {
		t.Errorf("%+v, %v", q, err)
	}
	var p *problem.Error
	if _, err = open(t, `{"n":9}`); !errors.As(err, &p) || p.Param != "n" {
		t.Errorf("%v", err)
	}
}

// What a conversation says of its prompt is what an answer has; what can't be continued is refused before.
func TestConverse(t *testing.T) {
	user, said := tools.Message{Role: "user", Content: "Count."}, tools.Message{Role: "assistant", Content: "One, two,"}
	for _, x := range []struct {
		body   string
		list   []tools.Message
		choice tools.Mode
		want   string // error
	}{
		{`{"max_tokens":2}`, []tools.Message{user}, tools.Auto, ""}, {`{"max_tokens":2}`, []tools.Message{user, said}, tools.Auto, ""},
		{`{"max_tokens":2,"add_generation_prompt":false}`, []tools.Message{user}, tools.Auto, ""},
		{`{"max_tokens":2,"add_generation_prompt":false}`, []tools.Message{user, said}, tools.Auto, ""},
		{`{"max_tokens":2,"add_generation_prompt":false,"continue_final_message":true}`, []tools.Message{user, said}, tools.Auto, ""},
		{`{"continue_final_message":true}`, []tools.Message{user}, tools.Auto, "continue_final_message: want an assistant's message at the end"},
		{`{"continue_final_message":false}`, []tools.Message{user, said}, tools.Auto, "continue_final_message: an assistant's message at the end is continued"},
		{`{"format":"json"}`, []tools.Message{user}, tools.Required, "tool_choice: want no format beside a call"},
		{`{"system_mode":"strict"}`, []tools.Message{{Role: "system", Content: "a"}, user}, tools.None, "System role not supported"},
	} {
		q, err := open(t, x.body)
		if err != nil {
			t.Fatal(err)
		}
		c, err := q.Converse(x.list, []tools.Tool{{Name: "f"}}, tools.Choice{Mode: x.choice})
		if x.want != "" {
			var p *problem.Error
			if !errors.As(err, &p) || p.Status != 400 || !strings.Contains(p.Message, x.want) {
				t.Errorf("%s: %v, want %q", x.body, err, x.want)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := Collect(c.Answer(context.Background(), 0), nil)
		if err != nil || !slices.Equal(r.PromptIDs, c.IDs) || len(r.IDs) == 0 {
			t.Errorf("%s: %+v, %v, want the prompt %v", x.body, r, err, c.IDs)
		}
	}
}

// An assistant's message at the end is continued, unless the prompt shall end after it.
func TestTurnsEnd(t *testing.T) {
	ends := func(body string) string {
		t.Helper()
		q, err := open(t, body)
		if err != nil {
			t.Fatal(err)
		}
		c, err := q.Turns([]systemgemma.Message{{Role: "user", Content: "Count."}, {Role: "assistant", Content: "One, two,"}})
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, id := range c.IDs {
			text += q.Lease.Model.Piece(id)
		}
		return text[strings.LastIndex(text, "One"):]
	}
	open, closed := ends(`{}`), ends(`{"add_generation_prompt":false}`)
	if both := ends(`{"add_generation_prompt":false,"continue_final_message":true}`); both != open || strings.Contains(open, "<end_of_turn>") || !strings.Contains(closed, "<end_of_turn>") {
		t.Errorf("continued %q, with both options %q, without a turn that is generated %q", open, both, closed)
	}
}
