package chat

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// picker is a list to choose from, with a filter that is typed. It takes the whole terminal.
type picker struct {
	kind    Overlay
	title   string
	hint    string // what its keys do
	empty   string // what to do when there is nothing to choose from
	choices []Choice
	current string // the name of the one in force
	filter  string
	shown   []Choice // that pass the filter, the best first
	at      int      // index in shown
	notice  string   // what became of the last key, in place of the hint
	doomed  string   // one more Ctrl-D deletes this one
}

// maxFilter bounds what is typed, in bytes.
const maxFilter = 256

// set shows other choices and keeps filter and place as far as there is such a place.
func (p *picker) set(choices []Choice) {
	p.choices = choices
	p.narrow()
}

// mark goes to the choice of that name, if it is shown.
func (p *picker) mark(name string) {
	if i := slices.IndexFunc(p.shown, func(c Choice) bool { return c.Name == name }); i >= 0 {
		p.at = i
	}
}

// narrow applies the filter.
func (p *picker) narrow() {
	type ranked struct {
		Choice
		rank int
	}
	var found []ranked
	for _, c := range p.choices {
		if rank, ok := match(p.filter, c.Name); ok {
			found = append(found, ranked{c, rank})
		}
	}
	slices.SortStableFunc(found, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	p.shown = nil
	for _, f := range found {
		p.shown = append(p.shown, f.Choice)
	}
	p.at = min(max(0, p.at), max(0, len(p.shown)-1))
}

// match tells whether a name has the filter's letters in their order, and how well: the lower the rank the better. Upper and lower case are
// the same, blanks of the filter don't count.
func match(filter, name string) (rank int, ok bool) {
	filter, name = strings.ToLower(strings.Join(strings.Fields(filter), "")), strings.ToLower(name)
	if filter == "" {
		return 0, true
	}
	if i := strings.Index(name, filter); i >= 0 {
		return min(i, 1), true
	}
	rank = 2 // one more for each gap
	rest := name
	for i, r := range filter {
		before, after, found := strings.Cut(rest, string(r))
		if !found {
			return 0, false
		}
		if i > 0 && before != "" {
			rank++
		}
		rest = after
	}
	return rank, true
}

// selected is the choice under the mark.
func (p *picker) selected() (Choice, bool) {
	if p.at >= len(p.shown) {
		return Choice{}, false
	}
	return p.shown[p.at], true
}

// edit moves the mark and changes the filter. It tells whether the key meant something.
func (p *picker) edit(k tea.KeyPressMsg, page int) bool {
	switch k.String() {
	case "up", "ctrl+p", "shift+tab":
		p.at--
	case "down", "ctrl+n", "tab":
		p.at++
	case "pgup":
		p.at -= page
	case "pgdown":
		p.at += page
	case "home":
		p.at = 0
	case "end":
		p.at = len(p.shown) - 1
	case "backspace", "ctrl+h":
		r := []rune(p.filter)
		p.filter = string(r[:max(0, len(r)-1)])
		p.narrow()
	case "ctrl+u":
		p.filter = ""
		p.narrow()
	default:
		if k.Text == "" {
			return false
		}
		p.typed(k.Text)
	}
	p.at = min(max(0, p.at), max(0, len(p.shown)-1))
	return true
}

// typed adds to the filter what is text on one row.
func (p *picker) typed(text string) {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, display(text))
	if len(p.filter)+len(text) <= maxFilter {
		p.filter += text
		p.at = 0
		p.narrow()
	}
}

// page is how many choices there is room for.
func page(height int) int { return max(1, height-3) }

// view is the picker in exactly height rows, and where the cursor stands.
func (p *picker) view(width, height int) (rows []string, cursor *tea.Cursor) {
	const label = "filter: "
	rows = append(rows, bold(ansi.Truncate(p.title, width, "…")))
	// The end of a long filter is what people look at.
	shown := p.filter
	for shown != "" && ansi.StringWidth(label+shown) >= width {
		_, n := utf8.DecodeRuneInString(shown)
		shown = shown[n:]
	}
	rows = append(rows, ansi.Truncate(label+shown, width, ""))
	room := page(height)
	from := max(0, min(p.at-room/2, len(p.shown)-room))
	for i := from; i < min(len(p.shown), from+room); i++ {
		rows = append(rows, p.row(p.shown[i], i == p.at, width))
	}
	if len(p.shown) == 0 {
		text := "(no match)"
		if len(p.choices) == 0 {
			text = p.empty
		}
		lines := strings.Split(ansi.Wrap(text, width, ""), "\n")
		rows = append(rows, lines[:min(len(lines), room)]...)
	}
	for len(rows) < room+2 {
		rows = append(rows, "")
	}
	rows = append(rows[:room+2], faint(ansi.Truncate(cmp.Or(p.notice, p.hint), width, "…")))
	if len(rows) > height { // the marked choice is worth more than title and filter
		return rows[2 : 2+min(2, max(1, height))], nil
	}
	return rows, tea.NewCursor(min(width-1, ansi.StringWidth(label+shown)), 1)
}

// row is one choice: the marked one in reverse, too.
func (p *picker) row(c Choice, marked bool, width int) string {
	mark, about := "  ", oneLine(c.About)
	if c.Name == p.current {
		mark = "* "
	}
	if marked {
		mark = "> "
	}
	text := ansi.Truncate(mark+oneLine(c.Name), width, "…")
	if room := width - ansi.StringWidth(text) - 2; room >= 8 && about != "" {
		text += "  " + ansi.Truncate(about, room, "…")
	}
	if marked {
		return reverse(text)
	}
	return text
}
