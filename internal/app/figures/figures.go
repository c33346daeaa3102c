// Package figures says numbers as people read them: sizes, shares, and what a comparison of two models measured.
//
// It must not know where they are shown.
package figures

import (
	"fmt"
	"slices"

	"github.com/systemgemma/systemgemma"
)

// Size is a number of bytes.
func Size(bytes int64) string {
	switch {
	case bytes >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	case bytes >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// Percent is a share.
func Percent(x float64) string { return fmt.Sprintf("%.4g %%", 100*x) }

// Row is the numbers of one kind of text.
type Row struct {
	Name string
	systemgemma.Divergence
}

// Rows lists the kinds of text that were read.
func Rows(q *systemgemma.Quality) (rows []Row) {
	for _, r := range []Row{{"plain", q.Plain}, {"turns", q.Turns}, {"all", q.All}} {
		if r.Positions > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}

// MeanError is the error of tensors on average.
func MeanError(list []systemgemma.TensorQuality) float64 {
	sum := 0.0
	for _, t := range list {
		sum += t.Error
	}
	return sum / float64(max(len(list), 1))
}

// Worst is the tensor of the largest error; there is at least one.
func Worst(list []systemgemma.TensorQuality) systemgemma.TensorQuality {
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
