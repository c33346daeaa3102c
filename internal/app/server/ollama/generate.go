package ollama

import (
	"net/http"
	"slices"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// generate answers POST /api/generate.
func (d *dialect) generate(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	g, err := readGenerate(f)
	if err != nil {
		return err
	}
	q, err := d.begin(r, f, g.prompt == "")
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	p := &reply{request: q, d: d, open: !g.raw}
	if q.Lease == nil {
		return p.state(w, "unload")
	}
	defer q.Lease.Release()
	if g.prompt == "" {
		return p.state(w, "load")
	}
	if err := q.begins(r, &g, p); err != nil {
		return err
	}
	return p.send(w, r)
}

// generation is what generate takes beyond what chat does.
type generation struct {
	prompt, system string
	context        []int32 // of an earlier answer
	raw            bool
}

func readGenerate(f *option.Fields) (g generation, err error) {
	if g.prompt, _, err = f.Text("prompt"); err != nil {
		return g, err
	}
	if g.system, _, err = f.Text("system"); err != nil {
		return g, err
	}
	if g.raw, _, err = f.Bool("raw"); err != nil {
		return g, err
	}
	if g.context, _, err = f.IDs("context"); err != nil {
		return g, err
	}
	if err := noImages(f); err != nil {
		return g, err
	}
	suffix, _, err := f.Text("suffix")
	if err != nil {
		return g, err
	}
	if suffix != "" {
		return g, problem.Unsupported("suffix", "want none: Gemma 2 does not support insert")
	}
	if g.raw && (g.system != "" || len(g.context) > 0) {
		return g, f.Invalid("raw", "want no system and no context beside it: a raw prompt is all that the model sees")
	}
	return g, nil
}

// begins begins the answer to a prompt: as it is, in a turn of its own, or after the turns of an earlier answer.
func (q *request) begins(r *http.Request, g *generation, p *reply) error {
	if g.raw {
		if q.Want.SystemMode != "" {
			return problem.Invalid("raw", "want no system_mode beside it: a raw prompt is all that the model sees")
		}
		p.events = q.Lease.Generate(r.Context(), systemgemma.Prompt{Text: g.prompt, Special: true}, &q.Want.GenerateOptions)
		return nil
	}
	messages := []systemgemma.Message{{Role: "user", Content: g.prompt}}
	if g.system != "" {
		messages = slices.Insert(messages, 0, systemgemma.Message{Role: "system", Content: g.system})
	}
	if len(g.context) == 0 {
		c, err := q.Turns(q.Lease.Begin(messages))
		if err != nil {
			return err
		}
		p.events = c.Answer(r.Context(), 0)
		return nil
	}
	ids, err := q.after(g.context, messages)
	if err != nil {
		return err
	}
	p.events = q.Lease.Generate(r.Context(), systemgemma.Prompt{IDs: ids}, &q.Want.GenerateOptions)
	return nil
}

// after is the turns of an earlier answer and new ones after them, as ids.
func (q *request) after(context []int32, messages []systemgemma.Message) ([]int32, error) {
	m := q.Lease.Model
	for i, id := range context {
		if int(id) >= q.Lease.Info.Vocabulary {
			return nil, problem.Invalid("context", "want token ids of this model, 0 to %d, found %d at place %d; want the context of an earlier answer of this model", q.Lease.Info.Vocabulary-1, id, i)
		}
	}
	if q.Want.Context == systemgemma.ContextDropOldest {
		return nil, problem.Unsupported("truncate", "a context of ids has no turns that could be left out; want false, or /api/chat")
	}
	end, err := m.Tokenize("<end_of_turn>", true)
	if err != nil {
		return nil, problem.OfModel(err)
	}
	between, err := m.Tokenize("\n", false)
	if err != nil {
		return nil, problem.OfModel(err)
	}
	ids := slices.Clone(context)
	if q.End[ids[len(ids)-1]] { // whatever ended the answer
		ids = ids[:len(ids)-1]
	}
	ids = append(append(ids, end...), between...)
	c, err := q.Turns(messages)
	if err != nil {
		return nil, err
	}
	more := c.IDs
	if bos, err := m.Tokenize("<bos>", true); err == nil && len(bos) == 1 && len(more) > 0 && more[0] == bos[0] {
		more = more[1:]
	}
	return append(ids, more...), nil
}
