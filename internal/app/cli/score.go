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

// maxLogits bounds the logits that are kept until --logits is written, in bytes.
const maxLogits = 4 << 30

// scoreCmd is `systemgemma score`.
type scoreCmd struct {
	Prompt       *string `arg:"" optional:"" help:"Text that is given. Without it, JSON lines are read from standard input."`
	Continuation *string `arg:"" optional:"" help:"Text that is scored. Without it, PROMPT is scored."`
	modelFlag
	engineFlags
	loraFlags
	Logits string `placeholder:"FILE" group:"Output" help:"Also write the logits of every line as tensors logits.0, logits.1 ... to this safetensors file, float32 [tokens, vocabulary]."`
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
	if c.Prompt != nil && c.Logits != "" {
		return usagef("--logits: want JSON lines on standard input, found an argument")
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
	s := scorer{model: m, adapters: adapters, keep: c.Logits != ""}
	lineErr := eachLine(ctx, env, s.line)
	if c.Logits != "" && ctx.Err() == nil {
		if err := s.write(c.Logits); err != nil {
			return errors.Join(lineErr, fmt.Errorf("--logits: %w", err))
		}
	}
	return lineErr
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

// scorer scores lines and keeps their logits.
type scorer struct {
	model    *systemgemma.Model
	adapters []systemgemma.AdapterUse
	keep     bool
	arrays   []systemgemma.Array
	bytes    int64
}

func (s *scorer) line(ctx context.Context, line int, r *scoreRequest) (*scoreResponse, error) {
	x, err := s.score(ctx, r)
	if err != nil {
		return nil, err
	}
	if s.keep {
		if err := s.logits(ctx, fmt.Sprintf("logits.%d", line), x.IDs); err != nil {
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

// logits keeps the logits of ids.
func (s *scorer) logits(ctx context.Context, name string, ids []int32) error {
	a := systemgemma.Array{Name: name}
	err := s.model.Logits(ctx, ids, func(_ int, logits []float32) error {
		if a.Data == nil {
			n := int64(len(logits)) * int64(len(ids))
			if s.bytes+4*n > maxLogits {
				return fmt.Errorf("--logits: want at most %s in all, found %s more; score fewer lines at once", size(maxLogits), size(s.bytes+4*n-maxLogits))
			}
			s.bytes += 4 * n
			a.Data, a.Shape = make([]float32, 0, n), []int{len(ids), len(logits)}
		}
		a.Data = append(a.Data, logits...)
		return nil
	}, s.adapters...)
	if err == nil {
		s.arrays = append(s.arrays, a)
	}
	return err
}

// write makes the file as a whole. Lines that failed have no tensor in it.
func (s *scorer) write(path string) error {
	return wholefile.Write(path, 0o666, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		return errors.Join(systemgemma.WriteSafetensors(b, s.arrays), b.Flush())
	})
}
