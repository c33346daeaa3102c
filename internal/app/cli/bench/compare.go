package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Verdict is what became of a test.
type Verdict int

// The verdicts. A test is better or worse only if the ranges of both runs lie apart and the medians differ by more than 2 %.
const (
	Noise Verdict = iota
	Better
	Worse
	New     // not in the earlier run
	Missing // not in this one
)

// least is the difference of medians below which nothing is said: one repetition has no range.
const least = 0.02

// words names better and worse by what is measured.
func words(test string) [5]string {
	switch test {
	case Memory:
		return [5]string{"same", "smaller", "larger", "not measured before", "not measured now"}
	default:
		return [5]string{"within noise", "faster", "slower", "not measured before", "not measured now"}
	}
}

// Compared is a test in two runs.
type Compared struct {
	Before, After Row // one is zero for New and Missing
	Ratio         float64
	Verdict       Verdict
}

// Compare pairs the tests of two runs, in the order of the later one, and judges each.
func Compare(before, after []Row) []Compared {
	old := map[key]Row{}
	for _, r := range before {
		old[r.key()] = r
	}
	var list []Compared
	for _, r := range after {
		b, ok := old[r.key()]
		delete(old, r.key())
		c := Compared{Before: b, After: r, Verdict: New}
		if ok {
			c.Ratio, c.Verdict = judge(&b, &r)
		}
		list = append(list, c)
	}
	for _, r := range before {
		if _, missing := old[r.key()]; missing {
			list = append(list, Compared{Before: r, Verdict: Missing})
		}
	}
	return list
}

// judge compares medians and ranges. ratio is after by before.
func judge(b, a *Row) (ratio float64, v Verdict) {
	low, high := b.Value, a.Value // of what grows when things get better
	switch a.Test {
	case Memory:
		if b.PeakBytes == 0 || a.PeakBytes == 0 { // not known
			return 1, Noise
		}
		ratio = float64(a.PeakBytes) / float64(b.PeakBytes)
		switch {
		case ratio < 1-least:
			return ratio, Better
		case ratio > 1+least:
			return ratio, Worse
		}
		return ratio, Noise
	case Load:
		low, high = a.Value, b.Value
	}
	ratio = a.Value.Median / b.Value.Median
	switch {
	case high.Min > low.Max && high.Median > low.Median*(1+least):
		return ratio, Better
	case high.Max < low.Min && high.Median*(1+least) < low.Median:
		return ratio, Worse
	}
	return ratio, Noise
}

// Report is the comparison as text: a line for each test, what to think of the machine, and the sum.
func Report(list []Compared) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s %-6s %-15s %6s %6s %7s %10s %10s %7s  %s\n", "model", "type", "test", "tokens", "depth", "threads", "before", "now", "ratio", "verdict")
	var count [5]int
	changed := ""
	for _, c := range list {
		r := c.After
		if c.Verdict == Missing {
			r = c.Before
		}
		ofMachine := r.Test == ReadBandwidth || r.Test == ReadWeights || r.Test == Int8Peak
		if !ofMachine {
			count[c.Verdict]++
		} else if c.Verdict <= Worse && changed == "" {
			changed = change(&c)
		}
		ratio := ""
		if c.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", c.Ratio)
		}
		fmt.Fprintf(&b, "%-18s %-6s %-15s %6s %6s %7s %10s %10s %7s  %s\n", cut(r.Model, 18), r.Type, r.Test, positive(r.Tokens), positive(r.Depth), positive(r.Threads),
			amount(c.Before), amount(c.After), ratio, words(r.Test)[c.Verdict])
	}
	b.WriteString(changed)
	fmt.Fprintf(&b, "verdict: %d better, %d worse, %d within noise", count[Better], count[Worse], count[Noise])
	if n := count[New] + count[Missing]; n > 0 {
		fmt.Fprintf(&b, ", %d not in both", n)
	}
	return b.String() + "\n"
}

// change says whether the machine was another one, or in another mood: then speeds tell less than shares of the roof.
func change(c *Compared) string {
	switch {
	case c.Before.CPU != c.After.CPU || c.Before.Kernel != c.After.Kernel:
		return fmt.Sprintf("another machine: before %s (%s), now %s (%s); compare shares of the roof instead\n", c.Before.CPU, c.Before.Kernel, c.After.CPU, c.After.Kernel)
	case c.Verdict != Noise:
		return fmt.Sprintf("the machine itself was %s (%s): compare shares of the roof, or measure again when it is quiet\n", words(c.After.Test)[c.Verdict], c.After.Test)
	}
	return ""
}

func positive(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// amount is a row's value with its unit.
func amount(r Row) string {
	i := slices.Index([]string{Prefill, Decode, ParallelDecode, ParallelWhole, ReadWeights, ReadBandwidth, Int8Peak, Load}, r.Test)
	switch {
	case r.Test == Memory:
		return megabytes(r.PeakBytes)
	case i < 0:
		return ""
	case r.Test == Load:
		return number(1000*r.Value.Median) + " ms"
	}
	return number(r.Value.Median)
}
