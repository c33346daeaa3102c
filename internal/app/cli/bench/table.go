package bench

import (
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// Head names the columns of a model's rows.
func Head() string {
	return fmt.Sprintf("%-18s %-6s %-15s %6s %6s %7s %10s %-5s %19s %8s\n", "model", "type", "test", "tokens", "depth", "threads", "median", "", "min - max", "of roof")
}

// String is the row as a line of text: below Head for a model's, else a sentence.
func (r Row) String() string {
	switch r.Test {
	case ReadBandwidth:
		return fmt.Sprintf("%-16s %s GB/s (%s), %d MiB in order, %s\n", "read bandwidth", number(r.Value.Max), span(r.Value), r.BufferBytes>>20, threads(r.Threads))
	case Int8Peak:
		return fmt.Sprintf("%-16s %s GOPS (%s), %s, %s\n", "int8 peak", number(r.Value.Max), span(r.Value), r.Instruction, threads(r.Threads))
	case Memory:
		return fmt.Sprintf("%-18s %-6s %-15s %6d %6s %7s %10s %-5s weights %s, KV cache %s, longest GC pause %s ms\n", cut(r.Model, 18), r.Type, r.Test, r.Tokens, "", "",
			number(float64(r.PeakBytes)/1e6), "MB", megabytes(r.WeightBytes), megabytes(r.KVBytes), number(1000*r.Pause))
	case ReadWeights:
		return fmt.Sprintf("%-18s %-6s %-15s %6s %6s %7d %10s %-5s %19s\n", cut(r.Model, 18), r.Type, r.Test, "", "", r.Threads, number(r.Value.Median), "GB/s", span(r.Value))
	case Load:
		return fmt.Sprintf("%-18s %-6s %-15s %6s %6s %7d %10s %-5s %19s\n", cut(r.Model, 18), r.Type, r.Test, "", "", r.Threads, number(1000*r.Value.Median), "ms",
			span(systemgemma.Spread{Min: 1000 * r.Value.Min, Max: 1000 * r.Value.Max}))
	}
	roof := ""
	if r.Roofline > 0 {
		roof = fmt.Sprintf("%.0f %%", r.Roofline)
	}
	line := fmt.Sprintf("%-18s %-6s %-15s %6d %6d %7d %10s %-5s %19s %8s", cut(r.Model, 18), r.Type, r.Test, r.Tokens, r.Depth, r.Threads,
		number(r.Value.Median), "tok/s", span(r.Value), roof)
	return strings.TrimRight(line, " ") + "\n"
}

// number has three digits that count, and no exponent.
func number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}

func span(s systemgemma.Spread) string { return number(s.Min) + " - " + number(s.Max) }

func megabytes(n int64) string { return number(float64(n)/1e6) + " MB" }

func threads(n int) string {
	if n == 1 {
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", n)
}

// cut keeps the end of a name, which tells more than the beginning of a path.
func cut(name string, n int) string {
	if r := []rune(name); len(r) > n {
		return "…" + string(r[len(r)-n+1:])
	}
	return name
}
