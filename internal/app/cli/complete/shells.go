package complete

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:embed shells
var scripts embed.FS

// Shells names those that there is a script for.
func Shells() []string { return []string{"bash", "zsh", "fish", "powershell"} }

// Script is what a shell loads. It asks `systemgemma __complete --current=WORD -- WORDS...` and reads what Write wrote.
func Script(shell string) (string, error) {
	if !slices.Contains(Shells(), shell) {
		return "", fmt.Errorf("want %s, found %q", strings.Join(Shells(), ", "), shell)
	}
	text, err := scripts.ReadFile("shells/" + shell)
	return string(text), err
}

// Write writes a reply for the scripts: a line of Paths, tab, Prefix, then one of Text, tab, Help for each word.
func Write(w io.Writer, r Reply) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\t%s\n", r.Paths, r.Prefix)
	for _, word := range r.Words {
		fmt.Fprintf(&b, "%s\t%s\n", word.Text, word.Help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
