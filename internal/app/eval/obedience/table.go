package obedience

import (
	"fmt"
	"strings"
)

// A Score counts answers.
type Score struct{ Right, Total int }

// Percent is 0 when there were none.
func (s Score) Percent() float64 { return 100 * float64(s.Right) / float64(max(1, s.Total)) }

// String is "3/4 = 75.0 %".
func (s Score) String() string { return fmt.Sprintf("%d/%d = %.1f %%", s.Right, s.Total, s.Percent()) }

func (s *Score) add(right bool) {
	if s.Total++; right {
		s.Right++
	}
}

// A Table counts right answers per category and per label. Its zero value is empty.
type Table struct {
	categories, labels []string // in the order in which they first came; a label's key is "category | label"
	scores             map[string]*Score
}

// Add counts one answer.
func (t *Table) Add(c Case, right bool) {
	if t.scores == nil {
		t.scores = map[string]*Score{}
	}
	for key, order := range map[string]*[]string{c.Category: &t.categories, c.Category + " | " + c.Label: &t.labels} {
		if t.scores[key] == nil {
			t.scores[key] = &Score{}
			*order = append(*order, key)
		}
		t.scores[key].add(right)
	}
}

// Category is the score of one category.
func (t *Table) Category(name string) Score {
	if s := t.scores[name]; s != nil {
		return *s
	}
	return Score{}
}

// Obedience is the score of all categories but OutOfDomain.
func (t *Table) Obedience() (sum Score) {
	for _, c := range t.categories {
		if c != OutOfDomain {
			sum.Right += t.scores[c].Right
			sum.Total += t.scores[c].Total
		}
	}
	return sum
}

// All is the score of all categories.
func (t *Table) All() Score {
	sum, ood := t.Obedience(), t.Category(OutOfDomain)
	return Score{sum.Right + ood.Right, sum.Total + ood.Total}
}

// String is the table as tools/mini/evaluate.py prints it: a line for each label, then one for each category, then the sums.
func (t *Table) String() string {
	var b strings.Builder
	for _, l := range t.labels {
		fmt.Fprintf(&b, "%s | %d/%d\n", l, t.scores[l].Right, t.scores[l].Total)
	}
	b.WriteString("---\n")
	for _, c := range t.categories {
		fmt.Fprintf(&b, "%s: %v\n", c, t.scores[c])
	}
	fmt.Fprintf(&b, "obedience (without %s) %v, all %v\n", OutOfDomain, t.Obedience(), t.All())
	return b.String()
}
