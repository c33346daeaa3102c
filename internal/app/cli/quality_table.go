package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// qualityRow is the numbers of one kind of text.
type qualityRow struct {
	Name string
	systemgemma.Divergence
}

// qualityRows lists the kinds of text that were read.
func qualityRows(q *systemgemma.Quality) (rows []qualityRow) {
	for _, r := range []qualityRow{{"plain", q.Plain}, {"turns", q.Turns}, {"all", q.All}} {
		if r.Positions > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}

// qualityText is the table of a comparison.
func qualityText(b *strings.Builder, q *systemgemma.Quality, nameA, nameB string) {
	fmt.Fprintf(b, "%-12s %9s %10s %10s %10s %8s %12s %12s\n", "text", "positions", "KL mean", "median", "99 %", "top-1", "perplexity A", "perplexity B")
	for _, d := range qualityRows(q) {
		fmt.Fprintf(b, "%-12s %9d %10.3g %10.3g %10.3g %8s %12.5g %12.5g\n", d.Name, d.Positions, d.KL, d.KLMedian, d.KL99, percent(d.Top1), d.PerplexityA, d.PerplexityB)
	}
	fmt.Fprintf(b, "A: %s\nB: %s\ntext: %s, %d tokens\n", nameA, nameB, q.Text, q.Tokens)
	if len(q.Tensors) == 0 {
		fmt.Fprintf(b, "tensors: not compared, their shapes differ\n")
		return
	}
	w := worst(q.Tensors)
	fmt.Fprintf(b, "tensors: %d, error %s on average, %s at most (%s, %s)\n", len(q.Tensors), percent(meanError(q.Tensors)), percent(w.Error), w.Name, w.TypeB)
	fmt.Fprintf(b, "size of matrices: A %s, B %s (%s)\n", size(q.BytesA), size(q.BytesB), percent(float64(q.BytesB)/float64(max(q.BytesA, 1))))
}

func percent(x float64) string { return fmt.Sprintf("%.4g %%", 100*x) }

func meanError(list []systemgemma.TensorQuality) float64 {
	sum := 0.0
	for _, t := range list {
		sum += t.Error
	}
	return sum / float64(max(len(list), 1))
}

// worst is the tensor of the largest error.
func worst(list []systemgemma.TensorQuality) systemgemma.TensorQuality {
	return slices.MaxFunc(list, func(x, y systemgemma.TensorQuality) int {
		switch {
		case x.Error < y.Error:
			return -1
		case x.Error > y.Error:
			return 1
		}
		return 0
	})
}

// tensorsText lists all tensors.
func tensorsText(b *strings.Builder, list []systemgemma.TensorQuality) {
	fmt.Fprintf(b, "\n%-32s %-13s %-13s %10s %12s\n", "tensor", "A", "B", "error", "1 - cosine")
	for _, t := range list {
		fmt.Fprintf(b, "%-32s %-13s %-13s %10s %12.3g\n", t.Name, t.TypeA, t.TypeB, percent(t.Error), 1-t.Cosine)
	}
}
