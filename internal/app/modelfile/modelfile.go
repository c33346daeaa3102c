// Package modelfile owns Ollama's Modelfile: reading and writing one, what its parameters mean here, and which of our system modes its
// chat template is.
//
// It must not know where models lie: FROM and ADAPTER are texts to it.
package modelfile

import (
	"bufio"
	"fmt"
	"strings"
	"unicode/utf8"
)

// File is what a Modelfile says.
type File struct {
	From       string // a model's name or path
	System     string
	NoSystem   bool   // SYSTEM is there, and empty: the model shall have none, whatever FROM carries
	Template   string // a Go template as Ollama takes it
	Adapters   []string
	Parameters Parameters
	Messages   []Message
	Licenses   []string
}

// Message is one of the conversation that chats with the model begin with.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Limits of a file.
const (
	MaxBytes    = 16 << 20
	maxCommands = 10_000
)

// Error is a file that can't be taken, with the line of the command.
type Error struct {
	Line int
	Why  string
}

func (e *Error) Error() string { return fmt.Sprintf("Modelfile line %d: %s", e.Line, e.Why) }

// Parse reads a Modelfile. Commands are words at the beginning of a line, in any case; # begins a line that doesn't count. A value is
// the rest of the line, or what stands between double quotes or triple double quotes, over several lines. What can't be honoured is
// refused by name.
func Parse(text string) (*File, error) {
	if len(text) > MaxBytes {
		return nil, &Error{1, fmt.Sprintf("want at most %d bytes, found %d", MaxBytes, len(text))}
	}
	if !utf8.ValidString(text) {
		return nil, &Error{1, "want UTF-8"}
	}
	r := &reader{rest: strings.TrimPrefix(text, "\ufeff"), line: 1}
	var f File
	for n := 0; ; n++ {
		command, line, ok := r.command()
		if !ok {
			break
		}
		if n >= maxCommands {
			return nil, &Error{line, fmt.Sprintf("want at most %d commands", maxCommands)}
		}
		if err := f.add(r, command); err != nil {
			return nil, &Error{line, fmt.Sprintf("%s: %s", strings.ToUpper(command), err)}
		}
	}
	if f.From == "" {
		return nil, &Error{r.line, "want FROM with a model, found none"}
	}
	return &f, nil
}

// add takes one command, whose value r is at.
func (f *File) add(r *reader, command string) error {
	name, role := "", ""
	command = strings.ToUpper(command)
	switch command {
	case "PARAMETER", "MESSAGE":
		word := r.word()
		if word == "" {
			return fmt.Errorf("want a name and a value")
		}
		name, role = strings.ToLower(word), strings.ToLower(word)
	case "FROM", "SYSTEM", "TEMPLATE", "ADAPTER", "LICENSE", "REQUIRES":
	default:
		return fmt.Errorf("not known; want FROM, SYSTEM, PARAMETER, TEMPLATE, ADAPTER, MESSAGE or LICENSE")
	}
	value, err := r.value()
	if err != nil {
		return err
	}
	once := func(to *string) error {
		if *to != "" {
			return fmt.Errorf("want it once, found it again")
		}
		*to = value
		return nil
	}
	empty := value == ""
	switch command {
	case "FROM":
		if empty {
			return fmt.Errorf("want a model's name or path")
		}
		return once(&f.From)
	case "SYSTEM":
		if f.NoSystem {
			return fmt.Errorf("want it once, found it again")
		}
		f.NoSystem = empty && f.System == ""
		return once(&f.System)
	case "TEMPLATE":
		return once(&f.Template)
	case "ADAPTER":
		if empty {
			return fmt.Errorf("want the path of an adapter")
		}
		f.Adapters = append(f.Adapters, value)
	case "LICENSE":
		if !empty {
			f.Licenses = append(f.Licenses, value)
		}
	case "MESSAGE":
		if role != "system" && role != "user" && role != "assistant" {
			return fmt.Errorf("want the role system, user or assistant, found %q", role)
		}
		f.Messages = append(f.Messages, Message{role, value})
	case "PARAMETER":
		return f.Parameters.Set(name, value)
	case "REQUIRES":
		return fmt.Errorf("names a version of another program, which can't be honoured here; remove the line")
	}
	return nil
}

// reader goes through a file.
type reader struct {
	rest string
	line int
}

func (r *reader) skip(n int) {
	r.line += strings.Count(r.rest[:n], "\n")
	r.rest = r.rest[n:]
}

// command reads the word that begins the next line which has one.
func (r *reader) command() (word string, line int, ok bool) {
	for {
		r.skip(len(r.rest) - len(strings.TrimLeft(r.rest, " \t\r\n")))
		if r.rest == "" {
			return "", r.line, false
		}
		if r.rest[0] != '#' {
			return r.word(), r.line, true
		}
		end := strings.IndexByte(r.rest, '\n')
		if end < 0 {
			end = len(r.rest)
		}
		r.skip(end)
	}
}

// word reads up to white space, and the spaces after it.
func (r *reader) word() string {
	end := strings.IndexAny(r.rest, " \t\r\n")
	if end < 0 {
		end = len(r.rest)
	}
	word := r.rest[:end]
	r.skip(end)
	r.skip(len(r.rest) - len(strings.TrimLeft(r.rest, " \t")))
	return word
}

// value reads the rest of a line, or a quoted text.
func (r *reader) value() (string, error) {
	for _, quote := range []string{`"""`, `"`} {
		rest, ok := strings.CutPrefix(r.rest, quote)
		if !ok {
			continue
		}
		text, after, closed := strings.Cut(rest, quote)
		if !closed {
			return "", fmt.Errorf("the quote %s is not closed", quote)
		}
		r.skip(len(quote)*2 + len(text))
		line, _, _ := strings.Cut(after, "\n")
		if strings.TrimSpace(line) != "" {
			return "", fmt.Errorf("want the end of the line after the closing quote, found %.40q", line)
		}
		return text, nil
	}
	line, _, _ := strings.Cut(r.rest, "\n")
	r.skip(len(line))
	return strings.TrimRight(line, " \t\r"), nil
}

// String writes the file so that Parse reads the same again. What no Modelfile can say is an error of Write.
func (f *File) String() string {
	var b strings.Builder
	w := bufio.NewWriter(&b)
	line := func(command, value string) { _, _ = fmt.Fprintf(w, "%s %s\n", command, quote(value)) } // into memory
	line("FROM", f.From)
	for _, a := range f.Adapters {
		line("ADAPTER", a)
	}
	if f.Template != "" {
		line("TEMPLATE", f.Template)
	}
	if f.System != "" || f.NoSystem {
		line("SYSTEM", f.System)
	}
	for _, p := range f.Parameters.List() {
		line("PARAMETER "+p[0], p[1])
	}
	for _, m := range f.Messages {
		line("MESSAGE "+m.Role, m.Content)
	}
	for _, l := range f.Licenses {
		line("LICENSE", l)
	}
	_ = w.Flush() // into memory
	return b.String()
}

// Check reports what no Modelfile can say: a text that holds triple quotes, or begins or ends with a quote.
func (f *File) Check() error {
	again, err := Parse(f.String())
	if err != nil {
		return fmt.Errorf("a Modelfile can't say it: %w", err)
	}
	if again.String() != f.String() {
		return fmt.Errorf("a Modelfile can't say it: a text holds triple double quotes, or begins or ends with one")
	}
	return nil
}

// quote writes a value: bare where it can be, else in triple quotes.
func quote(s string) string {
	if s != "" && s == strings.TrimSpace(s) && !strings.ContainsAny(s, "\n\r\"#") {
		return s
	}
	if !strings.ContainsAny(s, "\n\r\"") {
		return `"` + s + `"`
	}
	return `"""` + s + `"""`
}
