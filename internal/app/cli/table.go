package cli

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// table sets rows in columns, those of the given numbers to the right.
func table(rows [][]string, right ...int) string {
	var width []int
	for _, r := range rows {
		for i, text := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(text))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		line := ""
		for i, text := range r {
			space := strings.Repeat(" ", width[i]-utf8.RuneCountInString(text))
			if slices.Contains(right, i) {
				line += space + text + "  "
			} else {
				line += text + space + "  "
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
