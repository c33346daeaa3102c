package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mode names a way to render a system prompt.
type Mode string

// The modes. S is the system text, a the first user text.
const (
	SystemGemma2  Mode = "systemgemma2"   // <bos>S⏎ and then the turns: SystemGemma2-2b-it, SystemGemma Mini
	Merge         Mode = "merge"          // S, a blank line, a in the first user turn: Google's advice
	MergeNewline  Mode = "merge-nl"       // S, a newline, a
	MergeSpace    Mode = "merge-space"    // S, a space, a
	Turn          Mode = "turn"           // a turn named system
	DeveloperTurn Mode = "developer-turn" // a turn named developer
	Exchange      Mode = "exchange"       // S as a user turn, answered "Understood."
	Strict        Mode = "strict"         // an error where there is a system message: Google's own template
	UserTemplate  Mode = "custom"         // a Jinja template of the user's: see ParseCustom
	Auto          Mode = "auto"           // what the file's template does: see Detect
)

var modes = []Mode{SystemGemma2, Merge, MergeNewline, MergeSpace, Turn, DeveloperTurn, Exchange, Strict, UserTemplate, Auto}

// ParseMode finds a mode by name.
func ParseMode(name string) (Mode, error) {
	if m := Mode(name); slices.Contains(modes, m) {
		return m, nil
	}
	var names []string
	for _, m := range modes {
		names = append(names, string(m))
	}
	last := len(names) - 1
	return "", fmt.Errorf("system mode: want %s or %s, found %q", strings.Join(names[:last], ", "), names[last], name)
}

// ErrEmpty says that there was no message to render.
var ErrEmpty = errors.New("conversation: want at least one message, found none")

// part is what a role means to the modes.
type part uint8

const (
	systemPart part = iota
	userPart
	modelPart
)

func partOf(i int, role string) (part, error) {
	switch role {
	case "system", "developer":
		return systemPart, nil
	case "user":
		return userPart, nil
	case "assistant", "model":
		return modelPart, nil
	}
	return 0, fmt.Errorf("message %d: want role system, developer, user or assistant, found %q", i, role)
}
