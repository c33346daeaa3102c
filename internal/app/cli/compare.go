package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// compareCmd is `systemgemma compare A B`.
type compareCmd struct {
	A       string `arg:"" help:"The model to be compared with: mini, a folder, or a .gguf file."`
	B       string `arg:"" help:"The model that stands for it, with the same vocabulary."`
	Text    string `placeholder:"FILE" group:"Measure" help:"Text that both read; of FILE.jsonl conversations, a line {\"messages\": [...]} for each. Default: a short text that is built in."`
	ExactA  bool   `group:"Measure" help:"Run A in float32 arithmetic (preset exact)."`
	ExactB  bool   `group:"Measure" help:"Run B so."`
	Threads int    `placeholder:"N" group:"Model" help:"Threads that compute. 0 is all processors."`
	Tensors bool   `group:"Output" help:"List the error of every tensor."`
	JSON    bool   `name:"json" group:"Output" help:"Write one JSON object with all numbers."`
}

// Help is the end of the help text.
func (*compareCmd) Help() string {
	return `Shows how far what B predicts is from what A does: KL divergence, how often both find the same token most likely, perplexities; and
the error of B's weights. Works layer by layer: neither model need fit into memory. docs/convert.md has the formulas.

Examples:

  systemgemma compare ./gemma-2-2b-it gemma-2-2b-it-w8a8.gguf
  systemgemma compare old.gguf new.gguf --text my.txt --json
`
}

// Run compares.
func (c *compareCmd) Run(ctx context.Context, env *Env) error {
	o := &systemgemma.CompareOptions{Threads: c.Threads}
	switch {
	case c.Threads < 0:
		return usagef("--threads: want 0 (all) or more, found %d", c.Threads)
	case c.JSON && c.Tensors:
		return usagef("--tensors: want no --json beside it, which lists them anyway")
	}
	if c.ExactA {
		o.PresetA = systemgemma.PresetExact
	}
	if c.ExactB {
		o.PresetB = systemgemma.PresetExact
	}
	var paths [2]string
	for i, name := range []string{c.A, c.B} {
		m, err := resolve(env, name)
		if err != nil {
			return err
		}
		paths[i] = m.path
	}
	if c.Text != "" {
		var err error
		if strings.HasSuffix(c.Text, ".jsonl") {
			o.Conversations, err = readConversations(c.Text)
		} else if o.Text, err = readFile(c.Text, systemgemma.MaxCompareText); err == nil && strings.TrimSpace(o.Text) == "" {
			err = fmt.Errorf("%s is empty", c.Text)
		}
		if err != nil {
			return fmt.Errorf("--text: %w", err)
		}
	}
	status := env.waiting("comparing")
	o.Progress = func(done, total int) { status.Set("comparing: %d %%", 100*done/total) }
	q, err := systemgemma.Compare(ctx, paths[0], paths[1], o)
	status.Stop()
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(env, &q)
	}
	var b strings.Builder
	qualityText(&b, &q, c.A, c.B)
	if c.Tensors {
		tensorsText(&b, q.Tensors)
	}
	return write(env.Stdout, b.String())
}

// readConversations reads a file of lines {"messages": [...]}.
func readConversations(path string) (list [][]systemgemma.Message, err error) {
	text, err := readFile(path, systemgemma.MaxCompareText)
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		var x struct {
			Messages []systemgemma.Message `json:"messages"`
		}
		if err := decodeLine([]byte(line), &x); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		list = append(list, x.Messages)
	}
	if list == nil {
		return nil, fmt.Errorf("%s: want a line {\"messages\": [...]} for each conversation, found none", path)
	}
	return list, nil
}
