package systemgemma

import (
	"context"
	"errors"
	"fmt"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/convert"
	"github.com/systemgemma/systemgemma/internal/equalise"
	"github.com/systemgemma/systemgemma/internal/load"
)

// equalisedKey names the provenance of a file whose norms and matrices were equalised: adapters, which were trained for other inputs,
// don't fit them any more.
const equalisedKey = "systemgemma.provenance.equalised"

// errEqualised says why adapters are refused.
var errEqualised = errors.New("adapters don't fit weights that were equalised (convert --opt 1); merge them from the original checkpoint")

// fitsAdapters reports a checkpoint that adapters can't be used with.
func fitsAdapters(ck *checkpoint.Checkpoint) error {
	if ck.Metadata[equalisedKey] != "" {
		return errEqualised
	}
	return nil
}

// change is what happens to weights between reading and rounding; nil: nothing.
func (c *conversion) change() convert.Change {
	switch {
	case c.equalised != nil:
		return c.equalised
	case c.merger != nil:
		return c.merger
	}
	return nil
}

// optimise chooses factors of columns, when o asks for it. A plan needs none: sizes do not depend on
// them.
func (c *conversion) optimise(ctx context.Context, types []string, o *ConvertOptions, planned bool) error {
	if !o.Optimise {
		if o.Calibration != nil {
			return errors.New("calibration: want it beside optimisation only, which is what it is for")
		}
		return nil
	}
	for _, name := range types {
		s, err := quant.ParseSpec(name)
		if err != nil {
			return err
		}
		if s.Layout != quant.W8C && !(s.Layout == quant.W8G && s.Grouping.PerToken) || s.Rotation != 0 || s.Outliers != 0 {
			return fmt.Errorf("optimisation: want w8a8 or w8a8-gN, whose activations it is for, found %s", name)
		}
	}
	if planned {
		return nil
	}
	text, err := newText(c.ck, &Options{})
	if err != nil {
		return err
	}
	about, groups, err := text.groups(&CompareOptions{Conversations: o.Calibration})
	if err != nil {
		return fmt.Errorf("calibration: %w", err)
	}
	var sequences [][]int32
	for _, g := range groups {
		for _, s := range g.Sequences {
			sequences = append(sequences, s.Tokens)
		}
	}
	var inner load.Change
	if c.merger != nil {
		inner = c.merger
	}
	r, err := load.NewReader(c.ck, inner, c.crew)
	if err != nil {
		return err
	}
	if c.equalised, err = equalise.Find(ctx, r, inner, c.ck.NormPlusOne, sequences, c.crew, o.ReportProgress); err != nil {
		return fmt.Errorf("calibration: %w", err)
	}
	c.aboutEqualised = fmt.Sprintf("%d norms, by the text %s", c.equalised.Norms(), about)
	return nil
}
