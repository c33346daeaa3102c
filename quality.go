package systemgemma

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/quality"
)

// reportSpace is the room for the report of a model of so many matrices: its JSON takes less.
func reportSpace(matrices int) int { return 4096 + 256*matrices }

// report compares the whole file of an output, at path, with the source, and says what to store in it.
func (c *conversion) report(ctx context.Context, output int, path string, o *ConvertOptions) (string, error) {
	q, err := c.measure(ctx, path, o)
	switch {
	case err != nil && context.Cause(ctx) != nil:
		return "", err
	case err != nil: // the file is good without it
		c.note(fmt.Sprintf("%s: the quality report was left out: %v", c.result.Files[output].Type, err), o)
		return "", nil
	}
	q.round()
	c.result.Files[output].Quality = q
	data, err := json.Marshal(q)
	if err == nil && len(data) > reportSpace(len(q.Tensors)) {
		err = fmt.Errorf("quality report: want at most %d bytes, found %d", reportSpace(len(q.Tensors)), len(data))
	}
	return string(data), err
}

// note adds a warning that comes late.
func (c *conversion) note(text string, o *ConvertOptions) {
	c.result.Warnings = append(c.result.Warnings, text)
	if o.Warn != nil {
		o.Warn(text)
	}
}

func (c *conversion) measure(ctx context.Context, path string, o *ConvertOptions) (*Quality, error) {
	ck, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer ck.Close()
	var change load.Change
	if x := c.change(); x != nil {
		change = x
	}
	a, err := newSide(c.ck, change, PresetExact, c.crew)
	if err != nil {
		return nil, err
	}
	b, err := newSide(ck, nil, PresetDefault, c.crew)
	if err != nil {
		return nil, err
	}
	co := &CompareOptions{Text: o.ReportText, Progress: o.ReportProgress}
	_, groups, err := a.text.groups(co)
	if err != nil {
		return nil, err
	}
	tokens := 0
	for _, g := range groups {
		for _, s := range g.Sequences {
			tokens += len(s.Tokens)
		}
	}
	c.result.ReportMemory = max(c.result.ReportMemory, quality.Memory(a.Side, b.Side, tokens))
	if m, err := ThisMachine(); err == nil && m.MemoryAvailable > 0 && m.MemoryAvailable < c.result.ReportMemory {
		return nil, fmt.Errorf("it wants %d MB of memory, found %d MB free; systemgemma compare makes it elsewhere", c.result.ReportMemory/1e6, m.MemoryAvailable/1e6)
	}
	q, err := compareSides(ctx, a, b, co, c.crew)
	return &q, err
}

// round leaves the digits that mean something, so that what is stored and what is shown are the same numbers.
func (q *Quality) round() {
	for _, d := range []*Divergence{&q.All, &q.Plain, &q.Turns} {
		for _, x := range []*float64{&d.KL, &d.KLMedian, &d.KL99, &d.KLMax, &d.Top1, &d.PerplexityA, &d.PerplexityB} {
			roundTo(x, 6)
		}
	}
	for i := range q.Tensors {
		roundTo(&q.Tensors[i].Error, 6)
		roundTo(&q.Tensors[i].Cosine, 10)
	}
}

func roundTo(x *float64, digits int) {
	*x, _ = strconv.ParseFloat(strconv.FormatFloat(*x, 'g', digits, 64), 64)
}

// parseReport reads a stored report. A file says about itself what it likes: numbers are checked for their form only.
func parseReport(text string) (*Quality, error) {
	if text == "" {
		return nil, nil
	}
	var q Quality
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		return nil, errors.New("its quality report can't be read")
	}
	return &q, nil
}
