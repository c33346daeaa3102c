package tools

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Bounds of what requests may offer.
const (
	maxTools = 128
	maxName  = 64
)

// Read takes tools, tool_choice and parallel_tool_calls from a request: a list of {"type": "function", "function": {...}}, or as
// OpenAI's responses have it, of {"type": "function", "name": ...}.
func Read(f *option.Fields) ([]Tool, Choice, error) {
	c := Choice{Mode: Auto, Parallel: true}
	all, err := Offer(f, readTool)
	if err != nil {
		return nil, c, err
	}
	if parallel, found, err := f.Bool("parallel_tool_calls"); err != nil {
		return nil, c, err
	} else if found {
		c.Parallel = parallel
	}
	return all, c, c.read(f, all)
}

// Offer takes tools, a list of objects, each by read.
func Offer(f *option.Fields, read func(*option.Fields) (Tool, error)) (all []Tool, err error) {
	list, err := f.Objects("tools")
	if err != nil {
		return nil, err
	}
	if len(list) > maxTools {
		return nil, f.Invalid("tools", "want at most %d, found %d", maxTools, len(list))
	}
	for _, x := range list {
		t, err := read(x)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o Tool) bool { return o.Name == t.Name }) {
			return nil, x.Invalid("name", "want names that differ, found %q twice", t.Name)
		}
		all = append(all, t)
	}
	return all, nil
}

func readTool(x *option.Fields) (t Tool, err error) {
	kind, found, err := x.Text("type")
	if err != nil {
		return t, err
	}
	if found && kind != "function" {
		return t, problem.Unsupported(x.Name("type"), "want function, found %.40q: this server runs no tools of its own", kind)
	}
	inner, err := x.Object("function")
	if err != nil {
		return t, err
	}
	if inner == nil {
		inner = x
	}
	return Define(inner, "parameters")
}

// Define takes a tool's name, its description, and the schema of its arguments from the member schema.
func Define(x *option.Fields, schema string) (t Tool, err error) {
	if t.Name, _, err = x.Text("name"); err != nil {
		return t, err
	}
	if !validName(t.Name) {
		return t, x.Invalid("name", "want 1 to %d letters, digits, and . _ -, found %.80q", maxName, t.Name)
	}
	if t.Description, _, err = x.Text("description"); err != nil {
		return t, err
	}
	raw, found := x.Raw(schema)
	if !found {
		return t, nil
	}
	var b bytes.Buffer
	if raw[0] != '{' || json.Compact(&b, raw) != nil {
		return t, x.Invalid(schema, "want a JSON schema, which is an object")
	}
	t.Parameters = b.Bytes()
	return t, nil
}

func validName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// read takes tool_choice: none, auto, required, or {"type": "function", "function": {"name": ...}}.
func (c *Choice) read(f *option.Fields, all []Tool) error {
	raw, found := f.Raw("tool_choice")
	if !found {
		return nil
	}
	var mode string
	if json.Unmarshal(raw, &mode) == nil {
		if c.Mode = Mode(mode); c.Mode != None && c.Mode != Auto && c.Mode != Required {
			return f.Invalid("tool_choice", "want none, auto, required or a function, found %.40q", mode)
		}
	} else {
		x, err := option.Of(raw, f.Name("tool_choice"))
		if err != nil {
			return err
		}
		inner, err := x.Object("function")
		if err != nil {
			return err
		}
		if inner == nil {
			inner = x
		}
		c.Mode = Named
		if c.Name, _, err = inner.Text("name"); err != nil {
			return err
		}
		return c.Check(all, inner.Name("name"))
	}
	return c.Check(all, f.Name("tool_choice"))
}

// Check holds a choice, which stands at that place of a request, against the tools.
func (c *Choice) Check(all []Tool, where string) error {
	switch {
	case c.Mode == Named && !slices.ContainsFunc(all, func(t Tool) bool { return t.Name == c.Name }):
		return problem.Invalid(where, "want the name of one of tools, found %.80q", c.Name)
	case c.Mode == Required && len(all) == 0:
		return problem.Invalid(where, "want tools beside it, found none")
	}
	return nil
}
