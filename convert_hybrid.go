package systemgemma

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/convert"
)

// hybridRows is about how many rows of a matrix are rounded to measure its error.
const hybridRows = 256

// hybrid chooses the share o.Hybrid of the layers' matrices that lose most when they are rounded, and gives them groups of the
// largest size up to 128 that divides their columns. Matrices that Tensors names are left alone.
func (c *conversion) hybrid(o *ConvertOptions, spec quant.Spec, rules []convert.Rule) ([]convert.Rule, error) {
	if o.Hybrid == 0 {
		return nil, nil
	}
	if !(o.Hybrid > 0 && o.Hybrid <= 1) {
		return nil, fmt.Errorf("hybrid: want a share from 0 to 1, found %v", o.Hybrid)
	}
	if spec != (quant.Spec{Layout: quant.W8C}) {
		return nil, fmt.Errorf("hybrid: want type w8a8, of which it makes a share finer, found %s", spec.Name())
	}
	type loss struct {
		checkpoint.Parameter
		relative float64
		err      error
	}
	var list []loss
	for _, p := range checkpoint.Parameters(&c.ck.Config) {
		named := slices.ContainsFunc(rules, func(r convert.Rule) bool { return r.Pattern.MatchString(p.Name) })
		if len(p.Shape) == 2 && strings.HasPrefix(p.Name, "blk.") && !named {
			list = append(list, loss{Parameter: p})
		}
	}
	err := c.crew.Run(len(list), 1, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			list[i].relative, list[i].err = c.loss(list[i].Parameter, spec)
		}
	})
	for _, l := range list {
		err = errors.Join(err, l.err)
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b loss) int { return cmp.Compare(b.relative, a.relative) })
	var out []convert.Rule
	for _, l := range list[:int(math.Round(o.Hybrid*float64(len(list))))] {
		sizes := slices.DeleteFunc(quant.GroupSizesFor(quant.W8G, l.Shape[1]), func(n int) bool { return n > 128 })
		if len(sizes) == 0 {
			return nil, fmt.Errorf("hybrid: tensor %s: want columns that a group size divides, found %d", l.Name, l.Shape[1])
		}
		finer, err := quant.ParseSpec(fmt.Sprintf("w8a8-g%d", slices.Max(sizes)))
		if err != nil {
			return nil, err
		}
		out = append(out, convert.Rule{Pattern: regexp.MustCompile("^" + regexp.QuoteMeta(l.Name) + "$"), Spec: finer})
	}
	return out, nil
}

// loss is |rounded - w| / |w| over some rows of a matrix at equal distances, Frobenius norms.
func (c *conversion) loss(p checkpoint.Parameter, spec quant.Spec) (float64, error) {
	rows, cols := p.Shape[0], p.Shape[1]
	m, block, err := spec.New(quant.StripRows, cols)
	if err != nil {
		return 0, err
	}
	defer block.Free() // our own memory: cannot fail
	row, back := make([]float32, cols), make([]float32, cols)
	change := c.change()
	var lost, all float64
	for r := 0; r < rows; r += max(1, rows/hybridRows) {
		if t, ok := c.ck.Tensors[p.Name]; ok {
			err = t.Row(row, r)
		} else if own, ok := c.ck.Matrices[p.Name]; ok {
			own.Row(row, r)
		} else {
			err = fmt.Errorf("tensor %s: want it in the source, found none", p.Name)
		}
		if err == nil && change != nil && change.Touches(p.Name) {
			err = change.Row(p.Name, r, row)
		}
		if err != nil {
			return 0, err
		}
		m.PackRow(0, row)
		m.Row(back, 0)
		for i, x := range row {
			d := float64(back[i] - x)
			lost += float64(d * d)
			all += float64(float64(x) * float64(x))
		}
	}
	if all == 0 {
		return 0, nil
	}
	return math.Sqrt(lost / all), nil
}
