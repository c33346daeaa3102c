package openai

import (
	"net/http"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// chatAnswer is the answer of /v1/chat/completions, whole or a piece of it.
type chatAnswer struct {
	ID          string           `json:"id"`
	Object      string           `json:"object"`
	Created     int64            `json:"created"`
	Model       string           `json:"model"`
	Fingerprint string           `json:"system_fingerprint"`
	Choices     []chatChoice     `json:"choices"` // never null: clients index it
	Progress    *pieces.Progress `json:"prompt_progress,omitempty"`
	Usage       *usage           `json:"usage,omitempty"`
	Extension   *talk.Extension  `json:"systemgemma,omitempty"`
}

type chatChoice struct {
	Index    int           `json:"index"`
	Message  *chatMessage  `json:"message,omitempty"`
	Delta    *chatDelta    `json:"delta,omitempty"`
	Logprobs *chatLogprobs `json:"logprobs"`
	Finish   *string       `json:"finish_reason"`
}

type chatMessage struct {
	Role    string     `json:"role"`
	Content *string    `json:"content"` // null beside calls
	Refusal *string    `json:"refusal"`
	Calls   []chatCall `json:"tool_calls,omitempty"`
}

type chatDelta struct {
	Role    string     `json:"role,omitempty"`
	Content *string    `json:"content,omitempty"`
	Calls   []chatCall `json:"tool_calls,omitempty"`
}

type chatCall struct {
	Index    *int         `json:"index,omitempty"` // in streams
	ID       string       `json:"id,omitempty"`    // in streams, of the first piece only, as the name
	Type     string       `json:"type,omitempty"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type chatLogprobs struct {
	Content []pieces.Logprob `json:"content"`
	Refusal []pieces.Logprob `json:"refusal"`
}

// maxTop is how many of the best tokens a request may ask for.
const maxTop = 20

// chat answers POST /v1/chat/completions.
func (d *dialect) chat(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	stream, includeUsage, err := streamOptions(f)
	if err != nil {
		return err
	}
	progress, _, err := f.Bool("return_progress")
	if err != nil {
		return err
	}
	logprobs, top, err := chatLogprobsOf(f)
	if err != nil {
		return err
	}
	explain, _, err := f.Int("explain", 0, maxTop)
	if err != nil {
		return err
	}
	list, err := readMessages(f)
	if err != nil {
		return err
	}
	c, err := d.converse(r, f, "chatcmpl-", list)
	if err != nil {
		return err
	}
	defer c.Lease.Release()
	server.Unknown(r, f)
	if c.Want.BestOf != 0 {
		return f.Invalid("best_of", "want n instead: only /v1/completions has best_of")
	}
	if c.Want.MaxTokensGiven && c.Want.MaxTokens == 0 {
		return f.Invalid("max_tokens", "want 1 or more, found 0")
	}
	if explain > 0 && c.Want.N > 1 {
		return f.Invalid("explain", "want one answer, found n %d", c.Want.N)
	}
	c.Want.TopLogprobs, c.Want.Explain = top, explain
	c.Progress(progress, stream)
	if err := c.Want.CheckBeams(stream); err != nil {
		return err
	}
	w.Header().Set("X-System-Mode", c.Mode())
	if stream {
		s := &chatStream{conversation: c, out: server.NewEvents(w, r), logprobs: logprobs, includeUsage: includeUsage}
		defer s.out.Close()
		return s.out.Failed(s.run(r), s.fail)
	}
	return c.whole(w, r, logprobs)
}

// chatLogprobsOf takes logprobs and top_logprobs.
func chatLogprobsOf(f *option.Fields) (logprobs bool, top int, err error) {
	if logprobs, _, err = f.Bool("logprobs"); err != nil {
		return false, 0, err
	}
	top, found, err := f.Int("top_logprobs", 0, maxTop)
	if err == nil && found && top > 0 && !logprobs {
		err = f.Invalid("top_logprobs", "want logprobs: true beside it")
	}
	return logprobs, top, err
}

// head is an answer without choices.
func (c *conversation) head(object string) chatAnswer {
	return chatAnswer{ID: c.id, Object: object, Created: c.created, Model: c.Lease.Name, Fingerprint: c.print, Choices: []chatChoice{}}
}

// each runs the answers that must be computed side by side.
func (c *conversation) each(r *http.Request, do func(r *http.Request, i int) error) error {
	return sideBySide(r, c.Runs(), do)
}

// all runs to their ends the answers that must be computed, and tells the log probabilities of each where they are wanted.
func (c *conversation) all(r *http.Request, logprobs bool) ([]systemgemma.Result, [][]pieces.Logprob, error) {
	if c.Want.Beams != nil {
		results, err := c.Search(r.Context())
		logs := make([][]pieces.Logprob, len(results))
		for i := range results {
			for k, id := range results[i].IDs {
				if logprobs && !c.End[id] {
					logs[i] = append(logs[i], logprobOf(c.Lease.Model, &systemgemma.Event{ID: id, Logprob: results[i].Logprobs[k]}))
				}
			}
		}
		return results, logs, err
	}
	results, logs := make([]systemgemma.Result, c.Runs()), make([][]pieces.Logprob, c.Runs())
	err := c.each(r, func(r *http.Request, i int) error {
		result, err := talk.Collect(c.Answer(r.Context(), i), func(e systemgemma.Event) {
			if logprobs && e.ID >= 0 && !c.End[e.ID] {
				logs[i] = append(logs[i], logprobOf(c.Lease.Model, &e))
			}
		})
		if err == nil {
			results[i] = *result
		}
		return err
	})
	return results, logs, err
}

// whole answers at the end.
func (c *conversation) whole(w http.ResponseWriter, r *http.Request, logprobs bool) error {
	results, logs, err := c.all(r, logprobs)
	if err != nil {
		return err
	}
	x := c.head("chat.completion")
	x.Usage = &usage{}
	x.Extension = c.Extend(&results[0], c.Mode())
	n := c.Want.N
	if c.Want.Beams != nil {
		n, x.Extension.Scores = len(results), scores(results)
	}
	for i := range n {
		from := min(i, len(results)-1) // without chance all are the same
		choice := c.choice(i, &results[from])
		if logprobs {
			choice.Logprobs = &chatLogprobs{Content: append([]pieces.Logprob{}, logs[from]...)}
		}
		x.Choices = append(x.Choices, choice)
		x.Usage.add(&results[from], i == 0)
	}
	return server.Reply(w, http.StatusOK, x)
}

// choice is answer i, a text or calls.
func (c *conversation) choice(i int, result *systemgemma.Result) chatChoice {
	reason, m := finish(result), &chatMessage{Role: "assistant", Content: &result.Text}
	if calls := tools.Calls(result.Text, c.Tools, c.Choice); calls != nil {
		m.Content, m.Calls, reason = nil, chatCalls(calls), "tool_calls"
	}
	return chatChoice{Index: i, Message: m, Finish: &reason}
}

func chatCalls(list []tools.Call) (out []chatCall) {
	for _, c := range list {
		out = append(out, chatCall{ID: c.ID, Type: "function", Function: chatFunction{c.Name, string(c.Arguments)}})
	}
	return out
}
