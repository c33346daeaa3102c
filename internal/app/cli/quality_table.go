package cli

import (
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/figures"
)

// qualityText is the table of a comparison.
func qualityText(b *strings.Builder, q *systemgemma.Quality, nameA, nameB string) {
	fmt.Fprintf(b, "%-12s %9s %10s %10s %10s %8s %12s %12s\n", "text", "positions", "KL mean", "median", "99 %", "top-1", "perplexity A", "perplexity B")
	for _, d := range figures.Rows(q) {
		fmt.Fprintf(b, "%-12s %9d %10.3g %10.3g %10.3g %8s %12.5g %12.5g\n", d.Name, d.Positions, d.KL, d.KLMedian, d.KL99, percent(d.Top1), d.PerplexityA, d.PerplexityB)
	}
	fmt.Fprintf(b, "A: %s\nB: %s\ntext: %s, %d tokens\n", nameA, nameB, q.Text, q.Tokens)
	if len(q.Tensors) == 0 {
		fmt.Fprintf(b, "tensors: not compared, their shapes differ\n")
		return
	}
	w := figures.Worst(q.Tensors)
	fmt.Fprintf(b, "tensors: %d, error %s on average, %s at most (%s, %s)\n", len(q.Tensors), percent(figures.MeanError(q.Tensors)), percent(w.Error), w.Name, w.TypeB)
	fmt.Fprintf(b, "size of matrices: A %s, B %s (%s)\n", size(q.BytesA), size(q.BytesB), percent(float64(q.BytesB)/float64(max(q.BytesA, 1))))
}

// percent is a share for people.
func percent(x float64) string { return figures.Percent(x) }

// tensorsText lists all tensors.
func tensorsText(b *strings.Builder, list []systemgemma.TensorQuality) {
	fmt.Fprintf(b, "\n%-32s %-13s %-13s %10s %12s\n", "tensor", "A", "B", "error", "1 - cosine")
	for _, t := range list {
		fmt.Fprintf(b, "%-32s %-13s %-13s %10s %12.3g\n", t.Name, t.TypeA, t.TypeB, percent(t.Error), 1-t.Cosine)
	}
}
