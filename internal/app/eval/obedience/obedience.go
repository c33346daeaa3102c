// Package obedience decides whether answers obey: it reads prompts with machine-checkable checks and says which of them an
// answer passes, exactly as tools/mini/evaluate.py does.
//
// It must not know what a model is: whoever asks one brings the answers.
package obedience

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// OutOfDomain is the category of prompts that ask for an honest "I don't know"; it does not count as obedience.
const OutOfDomain = "out of domain"

// A Case is one prompt and what its answer must be like.
type Case struct {
	ID       string // a number in one file, a name in another
	Category string // for example "held-out wording"
	Label    string // the style or task
	Messages []Message
	checks   []check
}

// A Message is one turn of the prompt.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Check says whether an answer passes all checks of the case. A case without checks (ten of heldout.jsonl, jokes for example) takes any.
func (c Case) Check(answer string) bool {
	for _, k := range c.checks {
		if !k.pass(answer) {
			return false
		}
	}
	return true
}

// Failed returns the checks that an answer does not pass, each as `kind "value"`.
func (c Case) Failed(answer string) (failed []string) {
	for _, k := range c.checks {
		if !k.pass(answer) {
			failed = append(failed, fmt.Sprintf("%s %q", k.kind, k.value))
		}
	}
	return failed
}

// Load reads a JSON Lines file of prompts. The error names the line that is wrong: a check of an unknown kind, or a pattern
// that this package could not follow exactly, is refused, since skipping it would make answers look better than they are.
func Load(path string) ([]Case, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cases, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cases, nil
}

func read(r io.Reader) (cases []Case, err error) {
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			c, err := parse(line)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			cases = append(cases, c)
		}
		if errors.Is(err, io.EOF) {
			return cases, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func parse(line []byte) (Case, error) {
	var raw struct {
		ID              json.RawMessage
		Category, Label string
		Messages        []Message
		Checks          [][]string
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return Case{}, err
	}
	c := Case{ID: strings.Trim(string(raw.ID), `"`), Category: raw.Category, Label: raw.Label, Messages: raw.Messages}
	if len(raw.Messages) == 0 || raw.Checks == nil {
		return Case{}, errors.New("want messages and checks, found none of one of them")
	}
	for _, pair := range raw.Checks {
		if len(pair) != 2 {
			return Case{}, fmt.Errorf("check: want a pair of kind and value, found %q", pair)
		}
		k, err := newCheck(pair[0], pair[1])
		if err != nil {
			return Case{}, err
		}
		c.checks = append(c.checks, k)
	}
	return c, nil
}
