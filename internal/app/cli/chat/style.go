package chat

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/systemgemma/systemgemma/internal/app/cli/terminal"
)

// The screen has no colours, whatever NO_COLOR says: bold, faint and reverse suit every terminal.
const (
	boldOn    = "\x1b[1m"
	faintOn   = "\x1b[2m"
	reverseOn = "\x1b[7m"
	styleOff  = "\x1b[m"
)

func bold(text string) string    { return styled(boldOn, text) }
func faint(text string) string   { return styled(faintOn, text) }
func reverse(text string) string { return styled(reverseOn, text) }

func styled(on, text string) string {
	if text == "" {
		return ""
	}
	return on + text + styleOff
}

// display is text as the screen may show it: safe, and without tabs, whose width depends on where they stand.
func display(text string) string { return strings.ReplaceAll(terminal.Safe(text), "\t", "    ") }

// oneLine is a text of people or files in one row.
func oneLine(text string) string { return strings.Join(strings.Fields(display(text)), " ") }

// cutRows splits text into full rows of a terminal and the last one, which may still grow. Words are kept whole.
func cutRows(text string, width int) (full []string, rest string) {
	rows := strings.Split(ansi.Wrap(text, width, ""), "\n")
	return rows[:len(rows)-1], rows[len(rows)-1]
}
