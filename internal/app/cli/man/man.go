// Package man writes manual pages, one for the program and one for each command, in the man(7) language.
//
// It reads the commands' model (kong), as help texts are, so that a page can't say anything else than --help. It must not know any
// command by name.
package man

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// Source says what the pages were made from. The same source gives the same pages.
type Source struct {
	Version string // of the program
	Date    string // of that version, as in 2026-01-31; may be empty
}

// Page is one file of a man1 folder.
type Page struct{ Name, Text string }

// Pages makes all pages, that of the program first.
func Pages(app *kong.Application, s Source) []Page {
	pages := []Page{program(app, s)}
	for _, n := range app.Leaves(true) {
		pages = append(pages, command(app, n, s))
	}
	return pages
}

func program(app *kong.Application, s Source) Page {
	var p page
	p.title(app.Name, s)
	p.section("NAME")
	p.text(app.Name + " - " + strings.TrimSuffix(app.Help, "."))
	p.section("SYNOPSIS")
	p.line(".B " + escape(app.Name))
	p.line(".I command")
	p.text("[arguments]")
	p.section("COMMANDS")
	for _, n := range app.Leaves(true) {
		p.line(".TP")
		p.line(".BR " + escape(manual(app, n)) + " (1)")
		p.text(n.Help)
	}
	p.section("EXIT STATUS")
	for _, x := range [][2]string{{"0", "success"}, {"1", "failure"}, {"2", "wrong use"}, {"130", "interrupted (Ctrl-C)"}, {"143", "terminated"}} {
		p.line(".TP")
		p.line(".B " + x[0])
		p.text(x[1])
	}
	return Page{app.Name + ".1", p.String()}
}

func command(app *kong.Application, n *kong.Node, s Source) Page {
	var p page
	name := manual(app, n)
	p.title(name, s)
	p.section("NAME")
	p.text(name + " - " + strings.TrimSuffix(n.Help, "."))
	p.section("SYNOPSIS")
	p.line(".B " + escape(app.Name+" "+strings.TrimPrefix(n.Path(), app.Name+" ")))
	p.text("[flags]" + arguments(n))
	if len(n.Positional) > 0 {
		p.section("ARGUMENTS")
		for _, a := range n.Positional {
			p.item(".I "+escape(strings.ToUpper(a.Name)), a.Help)
		}
	}
	p.section("FLAGS")
	group := ""
	for _, g := range order(n) {
		if title := heading(g[0]); title != group {
			group = title
			p.line(".SS " + quote(title))
		}
		for _, f := range g {
			p.item(flag(f), help(f))
		}
	}
	p.detail(n.Detail)
	p.section("SEE ALSO")
	p.line(".BR " + escape(app.Name) + " (1)")
	return Page{name + ".1", p.String()}
}

// manual is a page's name: the program and the command joined by "-".
func manual(app *kong.Application, n *kong.Node) string {
	path := n.Name
	for p := n.Parent; p != nil && p.Type != kong.ApplicationNode; p = p.Parent {
		path = p.Name + "-" + path
	}
	return app.Name + "-" + path
}

func arguments(n *kong.Node) string {
	text := ""
	for _, a := range n.Positional {
		name := strings.ToUpper(a.Name)
		if a.IsCumulative() {
			name += " ..."
		}
		if !a.Required {
			name = "[" + name + "]"
		}
		text += " " + name
	}
	return text
}

// order gives flags by their headings, each once, in the order that they first come; those without one come last.
func order(n *kong.Node) (groups [][]*kong.Flag) {
	index := map[string]int{}
	var plain []*kong.Flag
	for _, level := range n.AllFlags(true) {
		for _, f := range level {
			if f.Group == nil {
				plain = append(plain, f)
				continue
			}
			i, ok := index[f.Group.Key]
			if !ok {
				i = len(groups)
				index[f.Group.Key], groups = i, append(groups, nil)
			}
			groups[i] = append(groups[i], f)
		}
	}
	if len(plain) > 0 {
		groups = append(groups, plain)
	}
	return groups
}

func heading(f *kong.Flag) string {
	if f.Group == nil {
		return "Other"
	}
	if f.Group.Title != "" {
		return strings.TrimSuffix(f.Group.Title, ":")
	}
	return f.Group.Key
}

// flag is the line that names a flag: names bold, what it takes italic.
func flag(f *kong.Flag) string {
	long := `\fB` + escape("--"+f.Name) + `\fR`
	if f.Short != 0 {
		long = `\fB` + escape("-"+string(f.Short)) + `\fR, ` + long
	}
	if f.IsBool() || f.IsCounter() {
		return long
	}
	return long + `=\fI` + escape(f.FormatPlaceHolder()) + `\fR`
}

func help(f *kong.Flag) string {
	if f.HasDefault && f.Default != "" {
		return f.Help + fmt.Sprintf(" (Default: %s.)", f.Default)
	}
	return f.Help
}
