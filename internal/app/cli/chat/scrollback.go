package chat

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// maxScrollback bounds what is kept to be shown beside a panel, in bytes: some screens full. All of it stands above the view on the
// terminal, too.
const maxScrollback = 64 << 10

// scrollback is what the chat has shown last, as text that is safe to show.
type scrollback struct {
	texts []string
	bytes int
}

// add keeps a text, and forgets the oldest where there are too many.
func (t *scrollback) add(text string) {
	if len(text) > maxScrollback {
		text = strings.ToValidUTF8(text[len(text)-maxScrollback:], "")
	}
	t.texts = append(t.texts, text)
	t.bytes += len(text) + 1
	n := 0
	for t.bytes > maxScrollback && n < len(t.texts)-1 {
		t.bytes -= len(t.texts[n]) + 1
		n++
	}
	t.texts = slices.Delete(t.texts, 0, n)
}

// rows are the last rows of it, followed by text, in at most so many rows of that width.
func (t *scrollback) rows(text string, width, height int) []string {
	if len(text) > maxScrollback {
		text = strings.ToValidUTF8(text[len(text)-maxScrollback:], "")
	}
	var rows []string
	if text != "" {
		rows = lastRows(text, width, height)
	}
	for i := len(t.texts) - 1; i >= 0 && len(rows) < height; i-- {
		rows = append(lastRows(t.texts[i], width, height-len(rows)), rows...)
	}
	return rows
}

// lastRows are the last of the rows that a text takes.
func lastRows(text string, width, height int) []string {
	rows := strings.Split(ansi.Wrap(text, width, ""), "\n")
	return rows[max(0, len(rows)-height):]
}
