package convert

import (
	"context"
	"fmt"
	"time"

	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// Estimate measures how long Run will compute, by packing some strips of each kind of tensor without writing them: well below
// a second for most models. The disk may take longer.
func (j *Job) Estimate(ctx context.Context, crew *parallel.Crew) (time.Duration, error) {
	if err := j.prepare(); err != nil {
		return 0, err
	}
	buffers, rate, total := newRows(j.in, crew), map[string]float64{}, 0.0
	for _, in := range j.in {
		if in.Cols == 0 {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		key := j.costs(in)
		if rate[key] == 0 { // seconds of one row
			rows := min(in.Rows, 4*crew.Workers()*quant.StripRows)
			seconds, err := j.measure(&piece{in, 0, rows}, buffers, crew)
			if err != nil {
				return 0, err
			}
			rate[key] = seconds / float64(rows)
		}
		total += rate[key] * float64(in.Rows)
	}
	return time.Duration(total * float64(time.Second)), nil
}

// costs names what the time of a row depends on.
func (j *Job) costs(in *Input) string {
	key := fmt.Sprint(in.Kind(), in.Cols, in.change != nil)
	for _, o := range j.Outputs {
		if p, ok := o.Format.(*Plan); ok {
			key += " " + p.specs[in.Name].Format()
		}
	}
	return key
}

// measure packs a piece and forgets it.
func (j *Job) measure(x *piece, buffers [][]float32, crew *parallel.Crew) (seconds float64, err error) {
	begin := time.Now()
	w, _, err := j.room(x, nil)
	if err == nil {
		err = j.pack(w, buffers, crew)
	}
	if freed := w.free(); err == nil {
		err = freed
	}
	j.Source.Release(x.in.stored(0, x.rows))
	return time.Since(begin).Seconds(), err
}
