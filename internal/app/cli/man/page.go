package man

import "strings"

// page builds the source of one manual page. No text of others can become a request or an escape of roff: all goes through text.
type page struct{ strings.Builder }

// title begins a page. The date may be empty.
func (p *page) title(name string, s Source) {
	p.line(strings.Join([]string{".TH", quote(strings.ToUpper(name)), "1", `"` + s.Date + `"`, quote(s.Version), quote("SystemGemma")}, " "))
	p.line(".nh") // words of commands and flags are not hyphenated
	p.line(".ad l")
}

func (p *page) section(name string) { p.line(".SH " + name) }

func (p *page) item(head, text string) {
	p.line(".TP")
	p.line(head)
	if text == "" {
		text = "(no description)"
	}
	p.text(text)
}

// detail is the end of a help text: paragraphs as they are, and lines that are indented as examples.
func (p *page) detail(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	p.section("DETAILS")
	example, first := false, true
	for block := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		indented := strings.HasPrefix(block, "  ")
		if example && !indented {
			p.line(".EE")
		}
		if !first {
			p.line(".PP")
		}
		if indented && !example {
			p.line(".EX")
		}
		example, first = indented, false
		for l := range strings.SplitSeq(block, "\n") {
			p.text(l)
		}
	}
	if example {
		p.line(".EE")
	}
}

// text is a line of anything.
func (p *page) text(s string) {
	for l := range strings.SplitSeq(s, "\n") {
		l = escape(strings.TrimRight(l, " \t"))
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			l = `\&` + l
		}
		p.line(l)
	}
}

// line is a line of roff.
func (p *page) line(s string) {
	p.WriteString(s)
	p.WriteByte('\n')
}

// escape makes text of roff's own signs. "-" becomes the minus sign that can be copied from a page into a shell.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`, "'", `\(aq`).Replace(s)
}

// quote is one argument of a request.
func quote(s string) string { return `"` + strings.ReplaceAll(escape(s), `"`, `\(dq`) + `"` }
