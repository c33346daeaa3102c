// Package complete finishes words of a command line: it owns what may stand where, and the scripts by which bash, zsh, fish and
// PowerShell ask for it.
//
// It reads the commands' model (kong) and must not know any command by name. It looks at no file: shells know paths better.
package complete

import (
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Paths says which paths a shell should offer beside the words.
type Paths string

// What a value may be besides the words.
const (
	None    Paths = "none"
	Files   Paths = "files" // and folders
	Folders Paths = "folders"
)

// Word is one proposal. Help may be empty.
type Word struct{ Text, Help string }

// Reply is what may stand in place of the current word: words that begin like it, and paths. Paths complete the part of the
// current word after Prefix, which is "--flag=" in "--flag=value" and else empty; Words include it.
type Reply struct {
	Words  []Word
	Paths  Paths
	Prefix string
}

// Chooser is a type of flags that knows all its values.
type Chooser interface{ Choices() []string }

// Line completes current after words, which are the arguments before it, without the program's name.
func Line(app *kong.Application, words []string, current string) Reply {
	s := state{node: app.Node, used: map[*kong.Flag]bool{}}
	if len(words) > 0 && words[0] == "help" {
		words, s.commandsOnly = words[1:], true
	}
	for _, w := range words {
		s.take(w)
	}
	r := s.reply(current)
	r.Words = slices.DeleteFunc(r.Words, func(w Word) bool { return !strings.HasPrefix(w.Text, current) })
	return r
}

// state is what the words so far mean.
type state struct {
	node         *kong.Node
	used         map[*kong.Flag]bool
	waiting      *kong.Flag // has no value yet
	arguments    int
	flagsOver    bool // after --
	commandsOnly bool // after help
}

func (s *state) take(word string) {
	switch {
	case s.waiting != nil:
		s.waiting = nil
	case s.flagsOver || word == "-" || !strings.HasPrefix(word, "-"):
		s.argument(word)
	case word == "--":
		s.flagsOver = true
	case strings.HasPrefix(word, "--"):
		name, _, hasValue := strings.Cut(word[2:], "=")
		if f := s.flag(func(f *kong.Flag) bool { return f.Name == name || slices.Contains(f.Aliases, name) }); f != nil && !hasValue {
			s.waiting = f
		}
	default:
		s.short(word[1:])
	}
	if s.waiting != nil && (s.waiting.IsBool() || s.waiting.IsCounter()) {
		s.waiting = nil
	}
}

// short takes -abc: the first flag that wants a value has the rest, or the next word.
func (s *state) short(letters string) {
	for i, c := range letters {
		f := s.flag(func(f *kong.Flag) bool { return f.Short == c })
		switch {
		case f == nil:
			return
		case f.IsBool() || f.IsCounter():
		case i+len(string(c)) == len(letters):
			s.waiting = f
			return
		default:
			return
		}
	}
}

func (s *state) argument(word string) {
	if s.arguments == 0 && !s.flagsOver {
		for _, c := range s.node.Children {
			if c.Name == word || slices.Contains(c.Aliases, word) {
				s.node = c
				return
			}
		}
	}
	s.arguments++
}

// flag finds a flag of the command or those above it, and remembers that it was used.
func (s *state) flag(is func(*kong.Flag) bool) *kong.Flag {
	for _, group := range s.node.AllFlags(false) {
		if i := slices.IndexFunc(group, is); i >= 0 {
			s.used[group[i]] = true
			return group[i]
		}
	}
	return nil
}

func (s *state) reply(current string) Reply {
	switch name, _, hasValue := strings.Cut(current, "="); {
	case s.waiting != nil:
		return value(s.waiting.Value, s.waiting.FormatPlaceHolder(), "")
	case s.commandsOnly:
		return Reply{Words: s.commands(), Paths: None}
	case !s.flagsOver && strings.HasPrefix(current, "--") && hasValue:
		f := s.flag(func(f *kong.Flag) bool { return "--"+f.Name == name || slices.Contains(f.Aliases, name[2:]) })
		if f == nil {
			return Reply{Paths: None}
		}
		return value(f.Value, f.FormatPlaceHolder(), name+"=")
	case !s.flagsOver && strings.HasPrefix(current, "-"):
		return Reply{Words: s.flags(), Paths: None}
	}
	if n := s.node.Positional; len(n) > 0 {
		p := n[min(s.arguments, len(n)-1)]
		if s.arguments < len(n) || p.IsCumulative() {
			return value(p, strings.ToUpper(p.Name), "")
		}
	}
	if s.arguments == 0 {
		return Reply{Words: s.commands(), Paths: None}
	}
	return Reply{Paths: None}
}

func (s *state) commands() (words []Word) {
	for _, c := range s.node.Children {
		if !c.Hidden {
			words = append(words, Word{c.Name, firstSentence(c.Help)})
		}
	}
	return words
}

// flags are those that may still be given: not twice, and not beside one that excludes them.
func (s *state) flags() (words []Word) {
	for _, group := range s.node.AllFlags(true) {
		for _, f := range group {
			if s.allowed(f) {
				words = append(words, Word{"--" + f.Name, firstSentence(f.Help)})
			}
		}
	}
	return words
}

func (s *state) allowed(f *kong.Flag) bool {
	if s.used[f] {
		return f.IsCumulative()
	}
	for u := range s.used {
		if slices.ContainsFunc(u.Xor, func(x string) bool { return slices.Contains(f.Xor, x) }) {
			return false
		}
	}
	return true
}

// value proposes values: those of a closed set, else by the tag complete or the name that help texts give the value.
func value(v *kong.Value, placeholder, prefix string) Reply {
	r := Reply{Paths: None, Prefix: prefix}
	for _, c := range choices(v) {
		r.Words = append(r.Words, Word{Text: prefix + c})
	}
	if tag := v.Tag.Get("complete"); tag != "" {
		placeholder = tag
	}
	placeholder, _, _ = strings.Cut(placeholder, "[")
	switch strings.TrimRight(placeholder, ",.") {
	case "MODEL", "SOURCE":
		r.Words, r.Paths = append(r.Words, Word{prefix + "mini", "the embedded model"}), Files
	case "FILE", "PATH":
		r.Paths = Files
	case "DIR":
		r.Paths = Folders
	}
	return r
}

func choices(v *kong.Value) []string {
	if v.Enum != "" {
		return v.EnumSlice()
	}
	t := v.Target.Type()
	if v.IsSlice() {
		t = t.Elem()
	}
	if c, ok := reflect.Zero(t).Interface().(Chooser); ok {
		return c.Choices()
	}
	return nil
}

// firstSentence is what fits beside a proposal.
func firstSentence(help string) string {
	for _, end := range []string{". ", ": ", "; ", "\n"} {
		help, _, _ = strings.Cut(help, end)
	}
	return strings.TrimSuffix(help, ".")
}
