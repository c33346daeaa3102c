package tune

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"
)

// A comparison has one of these numbers of rounds, each of which measures every option once, so that whatever else the machine does
// strikes all of them alike.
const (
	minRounds = 6
	maxRounds = 20
)

// least is the gain below which nothing is chosen, however sure it is.
const least = 0.01

// student are the factors of two-sided intervals of 99.9 % by Student's distribution, by rounds-minRounds: with ten options one in
// a hundred comparisons finds something where there is nothing.
var student = [maxRounds - minRounds + 1]float64{6.869, 5.959, 5.408, 5.041, 4.781, 4.587, 4.437, 4.318, 4.221, 4.140, 4.073, 4.015, 3.965, 3.922, 3.883}

// Measurer measures an option once, in seconds; the smaller the better.
type Measurer func(ctx context.Context, option int) (float64, error)

// Judged is what a comparison found of an option. Ratios are times by those of option 0 in the same round.
type Judged struct {
	Seconds float64 `json:"seconds"` // median
	Ratio   float64 `json:"ratio"`   // geometric mean
	Low     float64 `json:"low"`     // its interval of 99.9 %; 0 and 0 without a judgement
	High    float64 `json:"high"`
	Better  bool    `json:"better"` // all of the interval is better than option 0, by 1 % or more
}

// Comparison is the outcome.
type Comparison struct {
	Rounds  int      `json:"rounds"`
	Options []Judged `json:"options"`
	Best    int      `json:"best"` // 0 unless another one is better
}

// ErrTooSlow says that the budget is not enough for the rounds that a judgement needs.
var ErrTooSlow = errors.New("not enough time for a judgement")

// compare measures n options against option 0 within a budget. The number of rounds is set by the first one, which does not count:
// looking at results would find differences where there are none.
func compare(ctx context.Context, n int, measure Measurer, budget time.Duration, now func() time.Time) (c Comparison, err error) {
	start := now()
	for option := range n {
		if _, err := measure(ctx, option); err != nil {
			return c, err
		}
		if now().Sub(start) > budget {
			return c, ErrTooSlow
		}
	}
	round := now().Sub(start)
	c.Rounds = maxRounds
	if round > 0 {
		c.Rounds = int(min(int64((budget-round)/round), maxRounds))
	}
	if c.Rounds < minRounds {
		return c, ErrTooSlow
	}
	times := make([][]float64, n)
	for r := range c.Rounds {
		switch spent := now().Sub(start); { // it takes longer than it seemed
		case spent > budget*3/2 && r < minRounds:
			return c, ErrTooSlow
		case spent > budget*5/4 && r >= minRounds:
			c.Rounds = r
			return c.judge(times), nil
		}
		for i := range n { // another one first in each round, and back and forth
			option := (i + r/2) % n
			if r%2 == 1 {
				option = n - 1 - option
			}
			t, err := measure(ctx, option)
			if err != nil {
				return c, err
			}
			times[option] = append(times[option], t)
		}
	}
	return c.judge(times), nil
}

// judge fills in what the times say.
func (c Comparison) judge(times [][]float64) Comparison {
	for option := range times {
		c.Options = append(c.Options, judge(times[0], times[option]))
		if j := c.Options[option]; j.Better && j.Ratio < c.Options[c.Best].Ratio {
			c.Best = option
		}
	}
	return c
}

// judge compares times with those of option 0, round by round.
func judge(base, times []float64) Judged {
	n := float64(len(times))
	mean, square := 0.0, 0.0
	for i := range times {
		mean += math.Log(times[i]/base[i]) / n
	}
	for i := range times {
		d := math.Log(times[i]/base[i]) - mean
		square += float64(d * d)
	}
	half := student[len(times)-minRounds] * math.Sqrt(square/(n-1)/n)
	sorted := slices.Sorted(slices.Values(times))
	j := Judged{
		Seconds: (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2,
		Ratio:   math.Exp(mean), Low: math.Exp(mean - half), High: math.Exp(mean + half),
	}
	j.Better = j.High < 1-least
	return j
}
