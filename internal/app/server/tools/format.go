package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// Format holds an answer to calls, where they are asked for; nil: it may be a text too. Each tool's parameters stand in $defs, in
// their own order, with references that still mean what they did.
func Format(all []Tool, c Choice) (*systemgemma.Format, error) {
	if c.Mode != Required && c.Mode != Named {
		return nil, nil
	}
	most := maxCalls
	if !c.Parallel || c.Mode == Named {
		most = 1
	}
	var kinds, defs []string
	for i, t := range all {
		if c.Mode == Named && t.Name != c.Name {
			continue
		}
		arguments := `{"type":"object"}`
		if t.Parameters != nil {
			at := fmt.Sprintf("tool%d", i)
			schema, err := moved(t.Parameters, "#/$defs/"+at)
			if err != nil {
				return nil, err
			}
			defs = append(defs, fmt.Sprintf("%q:%s", at, schema))
			arguments = fmt.Sprintf(`{"$ref":"#/$defs/%s"}`, at)
		}
		kinds = append(kinds, fmt.Sprintf(`{"type":"object","properties":{"name":{"const":%q},"arguments":%s},"required":["name","arguments"],"additionalProperties":false}`, t.Name, arguments))
	}
	schema := fmt.Sprintf(`{"type":"object","properties":{"tool_calls":{"type":"array","minItems":1,"maxItems":%d,"items":{"anyOf":[%s]}}},"required":["tool_calls"],"additionalProperties":false,"$defs":{%s}}`,
		most, strings.Join(kinds, ","), strings.Join(defs, ","))
	return &systemgemma.Format{JSONSchema: json.RawMessage(schema), Spaced: true}, nil
}

// moved is the schema of an object whose references within itself ("#/...") are to where it now stands. Nothing else changes, not
// even the order.
func moved(schema json.RawMessage, to string) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(schema))
	d.UseNumber()
	var out bytes.Buffer
	var open []level // objects and lists around
	typed := false   // the schema says its type
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		end := t == json.Delim('}') || t == json.Delim(']')
		l := &level{}
		if len(open) > 0 {
			l = &open[len(open)-1]
		}
		switch {
		case end:
			if len(open) == 1 && !typed { // arguments always are an object
				if l.members > 0 {
					out.WriteByte(',')
				}
				out.WriteString(`"type":"object"`)
			}
			open = open[:len(open)-1]
		case l.object && l.key == nil:
			if l.members++; l.members > 1 {
				out.WriteByte(',')
			}
		case l.object:
			out.WriteByte(':')
		default:
			if l.members++; l.members > 1 {
				out.WriteByte(',')
			}
		}
		switch x := t.(type) {
		case json.Delim:
			out.WriteString(x.String())
			if !end {
				l.key = nil
				open = append(open, level{object: x == '{'})
			}
			continue
		case string:
			if l.object && l.key == nil {
				l.key = &x
				typed = typed || len(open) == 1 && x == "type"
				break
			}
			if l.object && *l.key == "$ref" && strings.HasPrefix(x, "#") {
				t = to + strings.TrimPrefix(x, "#")
			}
			l.key = nil
		default:
			l.key = nil
		}
		b, err := json.Marshal(t)
		if err != nil {
			return nil, err
		}
		out.Write(b)
	}
	return out.Bytes(), nil
}

// level is an object or a list that is being read.
type level struct {
	object  bool
	members int
	key     *string // whose value comes next; nil: a key does
}
