package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
)

// maxKept bounds the numbers that are kept until --logits and --states are written, in bytes.
const maxKept = 4 << 30

// scoreCmd is `systemgemma score`.
type scoreCmd struct {
	Prompt       *string `arg:"" optional:"" help:"Text that is given. Without it, JSON lines are read from standard input."`
	Continuation *string `arg:"" optional:"" help:"Text that is scored. Without it, PROMPT is scored."`
	modelFlag
	engineFlags
	loraFlags
	Logits string `placeholder:"FILE" group:"Output" help:"Also write the logits of every line as tensors logits.0, logits.1 ... to this safetensors file, float32 [tokens, vocabulary]."`
	States string `placeholder:"FILE" group:"Output" help:"Also write the hidden states after the final norm as tensors states.0, states.1 ... to this safetensors file, float32 [tokens, hidden size]."`
}

// Help is the end of the help text.
func (*scoreCmd) Help() string {
	return `Lines of standard input: {"ids": [...]} or {"prompt": "...", "continuation": "..."} gives ` +
		`{"ids": [...], "logprobs": [...], "greedy": [...], "sum": x}: natural logarithms of all ids but the first, with prompt and continuation of the continuation only.`
}

type scoreRequest struct {
	IDs          []int32 `json:"ids"`
	Prompt       *string `json:"prompt"`
	Continuation *string `json:"continuation"`
}

type scoreResponse struct {
	IDs      []int32   `json:"ids"`
	Logprobs []float64 `json:"logprobs"`
	Greedy   []bool    `json:"greedy"`
	Sum      float64   `json:"sum"`
}

// Run scores arguments, or lines.
func (c *scoreCmd) Run(ctx context.Context, env *Env) error {
	if c.Prompt != nil && (c.Logits != "" || c.States != "") {
		return usagef("--logits, --states: want JSON lines on standard input, found an argument")
	}
	o, err := options(textFlags{}, c.engineFlags)
	if err != nil {
		return err
	}
	m, err := open(ctx, env, c.Model, o, systemgemma.Open)
	if err != nil {
		return err
	}
	defer m.Close()
	carried, err := carriedBy(env, c.Model)
	if err != nil {
		return err
	}
	adapters, err := c.loraFlags.open(ctx, env, m, carried.Adapters)
	if err != nil {
		return err
	}
	if c.Prompt != nil {
		return c.show(ctx, env, m, adapters)
	}
	s := scorer{model: m, adapters: adapters, left: maxKept}
	if c.Logits != "" {
		s.kept = append(s.kept, kept{name: "logits", path: c.Logits, read: m.Logits})
	}
	if c.States != "" {
		s.kept = append(s.kept, kept{name: "states", path: c.States, read: m.HiddenStates})
	}
	err = eachLine(ctx, env, s.line)
	for _, k := range s.kept {
		if ctx.Err() == nil {
			err = errors.Join(err, k.write())
		}
	}
	return err
}

// show scores the arguments for people.
func (c *scoreCmd) show(ctx context.Context, env *Env, m *systemgemma.Model, adapters []systemgemma.AdapterUse) error {
	prompt, continuation := "", *c.Prompt
	if c.Continuation != nil {
		prompt, continuation = *c.Prompt, *c.Continuation
	}
	r, err := m.ScoreText(ctx, prompt, continuation, adapters...)
	if err != nil {
		return err
	}
	var b strings.Builder
	scored := r.IDs[len(r.IDs)-len(r.Logprobs):]
	for i, id := range scored {
		greedy := ""
		if r.Greedy[i] {
			greedy = "  most likely"
		}
		fmt.Fprintf(&b, "%10.4f  %q%s\n", r.Logprobs[i], m.Piece(id), greedy)
	}
	n := float64(len(scored))
	fmt.Fprintf(&b, "%10.4f  sum of %d tokens, perplexity %.4g\n", r.Sum, len(scored), math.Exp(-r.Sum/n))
	return write(env.Stdout, b.String())
}

// scorer scores lines and keeps what else is wanted of them.
type scorer struct {
	model    *systemgemma.Model
	adapters []systemgemma.AdapterUse
	kept     []kept
	left     int64 // bytes that may still be kept
}

// kept are vectors, one for each token of a line, that go to a file.
type kept struct {
	name, path string
	read       func(ctx context.Context, ids []int32, out func(position int, vector []float32) error, adapters ...systemgemma.AdapterUse) error
	arrays     []systemgemma.Array
}

func (s *scorer) line(ctx context.Context, line int, r *scoreRequest) (*scoreResponse, error) {
	x, err := s.score(ctx, r)
	if err != nil {
		return nil, err
	}
	for i := range s.kept {
		if err := s.keep(ctx, &s.kept[i], line, x.IDs); err != nil {
			return nil, err
		}
	}
	return &scoreResponse{x.IDs, list(x.Logprobs), list(x.Greedy), x.Sum}, nil
}

func (s *scorer) score(ctx context.Context, r *scoreRequest) (*systemgemma.Score, error) {
	switch {
	case r.IDs != nil && (r.Prompt != nil || r.Continuation != nil):
		return nil, errors.New("want ids, or prompt and continuation, not both")
	case r.IDs != nil:
		return s.model.Score(ctx, r.IDs, 1, s.adapters...)
	case r.Prompt == nil || r.Continuation == nil:
		return nil, errors.New("want ids, or prompt and continuation")
	}
	return s.model.ScoreText(ctx, *r.Prompt, *r.Continuation, s.adapters...)
}

// keep keeps the vectors of the ids of a line.
func (s *scorer) keep(ctx context.Context, k *kept, line int, ids []int32) error {
	a := systemgemma.Array{Name: fmt.Sprintf("%s.%d", k.name, line)}
	err := k.read(ctx, ids, func(_ int, vector []float32) error {
		if a.Data == nil {
			n := int64(len(vector)) * int64(len(ids))
			if 4*n > s.left {
				return fmt.Errorf("--%s: want at most %s in all, found %s more; score fewer lines at once", k.name, size(maxKept), size(4*n-s.left))
			}
			s.left -= 4 * n
			a.Data, a.Shape = make([]float32, 0, n), []int{len(ids), len(vector)}
		}
		a.Data = append(a.Data, vector...)
		return nil
	}, s.adapters...)
	if err == nil {
		k.arrays = append(k.arrays, a)
	}
	return err
}

// write makes the file as a whole. Lines that failed have no tensor in it.
func (k *kept) write() error {
	err := wholefile.Write(k.path, 0o666, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		return errors.Join(systemgemma.WriteSafetensors(b, k.arrays), b.Flush())
	})
	if err != nil {
		return fmt.Errorf("--%s: %w", k.name, err)
	}
	return nil
}
