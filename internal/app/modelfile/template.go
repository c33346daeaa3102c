package modelfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// TemplateError is a chat template that is none of ours.
type TemplateError struct{ Why string }

func (e *TemplateError) Error() string {
	return fmt.Sprintf("template: it is none of those that are known here for Gemma 2 (%s): %s; remove it to use the one of the model's file",
		strings.Join(templateModes(), ", "), e.Why)
}

const (
	userTurn  = "<start_of_turn>user\n"
	modelTurn = "<start_of_turn>model\n"
	endTurn   = "<end_of_turn>\n"
)

// templates are our system modes as Go templates: what Mode recognises and GoTemplate writes.
var templates = []struct{ mode, text string }{
	{"merge", merged("\n\n")},
	{"merge-nl", merged("\n")},
	{"merge-space", merged(" ")},
	{"turn", `{{- range .Messages }}<start_of_turn>{{ if eq .Role "assistant" }}model{{ else }}{{ .Role }}{{ end }}
{{ .Content }}<end_of_turn>
{{ end }}<start_of_turn>model
`},
	{"developer-turn", eachTurn(`<start_of_turn>developer
{{ .Content }}<end_of_turn>
`)},
	{"systemgemma2", "{{ if .System }}{{ .System }}\n{{ end }}" + eachTurn("")},
	{"exchange", eachTurn(`<start_of_turn>user
{{ .Content }}<end_of_turn>
<start_of_turn>model
Understood.<end_of_turn>
`)},
}

func merged(between string) string {
	return userTurn + "{{ if .System }}{{ .System }}" + between + "{{ end }}{{ .Prompt }}" + endTurn + modelTurn + "{{ .Response }}" + endTurn
}

func eachTurn(system string) string {
	return `{{ range .Messages }}{{ if eq .Role "system" }}` + system + `{{ else if eq .Role "assistant" }}<start_of_turn>model
{{ .Content }}<end_of_turn>
{{ else }}<start_of_turn>user
{{ .Content }}<end_of_turn>
{{ end }}{{ end }}<start_of_turn>model
`
}

func templateModes() (modes []string) {
	for _, t := range templates {
		modes = append(modes, t.mode)
	}
	return modes
}

// GoTemplate is a system mode as a Go template; false for a mode that has none.
func GoTemplate(mode string) (string, bool) {
	for _, t := range templates {
		if t.mode == mode {
			return t.text, true
		}
	}
	return "", false
}

// probes are conversations that tell modes apart.
var probes = [][]Message{
	{{"user", "aq"}},
	{{"system", "sq"}, {"user", "aq"}},
	{{"user", "aq"}, {"assistant", "rq"}, {"user", "bq"}},
	{{"system", "sq"}, {"user", "aq"}, {"assistant", "rq"}, {"user", "bq"}},
}

// Mode tells which of our system modes a Go template is, by what it renders. Nothing but the kinds of steps that chat templates need is
// executed.
func Mode(text string) (string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return "", &TemplateError{err.Error()}
	}
	var got []string
	for _, p := range probes {
		s, err := t.render(p)
		if err != nil {
			return "", &TemplateError{err.Error()}
		}
		got = append(got, plain(s))
	}
	for _, known := range templates {
		k, err := parseTemplate(known.text)
		if err != nil {
			return "", err
		}
		same := true
		for i, p := range probes {
			s, err := k.render(p)
			if err != nil {
				return "", err
			}
			same = same && plain(s) == got[i]
		}
		if same {
			return known.mode, nil
		}
	}
	if !strings.Contains(got[1], "sq") {
		return "", &TemplateError{"it leaves system prompts out"}
	}
	return "", &TemplateError{fmt.Sprintf("a system prompt and a question become %q", got[1])}
}

// plain leaves out what makes no difference here: <bos>, which every prompt begins with, and line ends between turns.
func plain(s string) string {
	s = strings.TrimPrefix(strings.TrimSpace(s), "<bos>")
	parts := strings.Split(s, "<end_of_turn>")
	for i := range parts {
		if i > 0 {
			parts[i] = strings.TrimLeft(parts[i], " \n")
		}
	}
	return strings.TrimRight(strings.Join(parts, "<end_of_turn>"), "\n")
}

// chatTemplate is a Go template whose steps were looked at.
type chatTemplate struct {
	whole, cut *template.Template // cut ends before the answer
	messages   bool               // it goes through .Messages itself
}

// maxTemplate and maxOutput bound a template and what comes of it, in bytes.
const (
	maxTemplate = 64 << 10
	maxOutput   = 1 << 20
)

func parseTemplate(text string) (*chatTemplate, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("want at most %d bytes, found %d", maxTemplate, len(text))
	}
	if strings.Count(text, "(") > 1000 || strings.Count(text, "{{") > 5000 {
		return nil, errors.New("it has too many steps")
	}
	t, err := template.New("chat").Parse(text)
	if err != nil {
		return nil, err
	}
	if len(t.Templates()) != 1 || t.Tree == nil {
		return nil, errors.New("it defines templates of its own, or is empty")
	}
	c := &checkSteps{}
	if err := c.list(t.Root, 0); err != nil {
		return nil, err
	}
	x := &chatTemplate{whole: t, messages: c.messages}
	if !c.messages && !c.response { // Ollama adds it
		if t, err = template.New("chat").Parse(text + "{{ .Response }}"); err != nil {
			return nil, err
		}
		x.whole = t
	}
	tree := x.whole.Tree.Copy()
	cutAtResponse(tree.Root)
	x.cut, err = template.New("chat").AddParseTree("chat", tree)
	return x, err
}

// checkSteps refuses steps that chat templates for Gemma 2 don't need: what could take long, or much memory.
type checkSteps struct{ messages, response bool }

var (
	allowedNames  = []string{"Messages", "Role", "Content", "System", "Prompt", "Response", "Tools", "Suffix"}
	allowedCalls  = []string{"eq", "ne", "and", "or", "not", "len", "slice", "index", "lt", "le", "gt", "ge"}
	errNested     = errors.New("it is nested too deeply")
	errRangeNames = errors.New("it goes through something else than .Messages")
)

func (c *checkSteps) list(l *parse.ListNode, depth int) error {
	if l == nil {
		return nil
	}
	if depth > 20 {
		return errNested
	}
	for _, n := range l.Nodes {
		var err error
		switch n := n.(type) {
		case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode:
		case *parse.ActionNode:
			err = c.pipe(n.Pipe, depth)
		case *parse.IfNode:
			err = c.branch(&n.BranchNode, depth)
		case *parse.WithNode:
			err = c.branch(&n.BranchNode, depth)
		case *parse.RangeNode:
			if depth > 8 {
				return errNested
			}
			if !isMessages(n.Pipe) {
				return errRangeNames
			}
			err = c.branch(&n.BranchNode, depth+6) // two in each other at most
		default:
			err = fmt.Errorf("step %.40q is not taken", n.String())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checkSteps) branch(b *parse.BranchNode, depth int) error {
	return errors.Join(c.pipe(b.Pipe, depth), c.list(b.List, depth+1), c.list(b.ElseList, depth+1))
}

// isMessages tells whether a pipe is .Messages or $.Messages alone.
func isMessages(p *parse.PipeNode) bool {
	if p == nil || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return false
	}
	switch a := p.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		return slices.Equal(a.Ident, []string{"Messages"})
	case *parse.VariableNode:
		return slices.Equal(a.Ident, []string{"$", "Messages"})
	}
	return false
}

func (c *checkSteps) pipe(p *parse.PipeNode, depth int) error {
	if p == nil {
		return nil
	}
	if depth > 40 {
		return errNested
	}
	for _, cmd := range p.Cmds {
		for _, a := range cmd.Args {
			if err := c.arg(a, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *checkSteps) arg(n parse.Node, depth int) error {
	var idents []string
	switch n := n.(type) {
	case *parse.FieldNode:
		idents = n.Ident
	case *parse.VariableNode:
		idents = n.Ident[1:]
	case *parse.ChainNode:
		idents = n.Field
		if err := c.arg(n.Node, depth+1); err != nil {
			return err
		}
	case *parse.PipeNode:
		return c.pipe(n, depth+1)
	case *parse.IdentifierNode:
		if !slices.Contains(allowedCalls, n.Ident) {
			return fmt.Errorf("function %s is not taken", n.Ident)
		}
	case *parse.DotNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode, *parse.NilNode:
	default:
		return fmt.Errorf("%.40q is not taken", n.String())
	}
	for _, id := range idents {
		if !slices.Contains(allowedNames, id) {
			return fmt.Errorf("field .%s is not known here", id)
		}
		c.messages = c.messages || id == "Messages"
		c.response = c.response || id == "Response"
	}
	return nil
}

// cutAtResponse removes the answer and all after it.
func cutAtResponse(l *parse.ListNode) (cut bool) {
	if l == nil {
		return false
	}
	for i, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if f, ok := only(n.Pipe).(*parse.FieldNode); ok && slices.Equal(f.Ident, []string{"Response"}) {
				l.Nodes = l.Nodes[:i]
				return true
			}
		case *parse.IfNode:
			cut = cutAtResponse(n.List)
			cut = cutAtResponse(n.ElseList) || cut
		case *parse.WithNode:
			cut = cutAtResponse(n.List)
		}
		if cut {
			l.Nodes = l.Nodes[:i+1]
			return true
		}
	}
	return false
}

func only(p *parse.PipeNode) parse.Node {
	if p == nil || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return nil
	}
	return p.Cmds[0].Args[0]
}

// render is a conversation as Ollama renders it: given to a template that goes through .Messages, else one exchange at a time.
func (t *chatTemplate) render(messages []Message) (string, error) {
	w := &bounded{}
	system := ""
	if messages[0].Role == "system" {
		system = messages[0].Content
	}
	if t.messages {
		err := t.execute(w, t.whole, system, "", "", messages)
		return w.b.String(), err
	}
	prompt, response, pending := "", "", ""
	for _, m := range messages {
		switch m.Role {
		case "system":
			pending = m.Content
		case "user":
			if response != "" {
				if err := t.execute(w, t.whole, pending, prompt, response, nil); err != nil {
					return "", err
				}
				pending, response = "", ""
			}
			prompt = m.Content
		case "assistant":
			response = m.Content
		}
	}
	err := t.execute(w, t.cut, pending, prompt, response, nil)
	return w.b.String(), err
}

func (t *chatTemplate) execute(w *bounded, by *template.Template, system, prompt, response string, messages []Message) error {
	return by.Execute(w, map[string]any{
		"System": system, "Prompt": prompt, "Response": response, "Messages": messages, "Tools": []string(nil), "Suffix": "",
	})
}

// bounded is memory of a limited size.
type bounded struct{ b strings.Builder }

func (w *bounded) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > maxOutput {
		return 0, fmt.Errorf("it makes more than %d bytes of a short conversation", maxOutput)
	}
	return w.b.Write(p)
}
