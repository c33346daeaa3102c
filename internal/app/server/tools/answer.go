package tools

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxCalls are the most of one answer.
const maxCalls = 16

// Calls are those that an answer is; nil: it may have none, or is a text.
func Calls(answer string, all []Tool, c Choice) []Call {
	if !Active(all, c) {
		return nil
	}
	return Parse(answer, all)
}

// Parse reads an answer that is only calls of some of the tools; nil: it is something else, a text.
func Parse(answer string, all []Tool) []Call {
	answer = unfenced(answer)
	var x calls
	d := json.NewDecoder(strings.NewReader(answer))
	if d.Decode(&x) != nil || len(x.Calls) == 0 || len(x.Calls) > maxCalls || strings.TrimSpace(answer[d.InputOffset():]) != "" {
		return nil
	}
	var list []Call
	for _, c := range x.Calls {
		if !slices.ContainsFunc(all, func(t Tool) bool { return t.Name == c.Name }) {
			return nil
		}
		args, err := ReadArguments(c.Arguments)
		if err != nil {
			return nil
		}
		list = append(list, Call{NewID(), c.Name, args})
	}
	return list
}

// NewID is a name for a call.
func NewID() string { return "call_" + rand.Text() }

// ReadArguments is arguments as an object, compact: of an object, or of a text that holds one; none is an empty one.
func ReadArguments(raw json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		raw = bytes.TrimSpace([]byte(s))
	}
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage("{}"), nil
	}
	var b bytes.Buffer
	if raw[0] != '{' || json.Compact(&b, raw) != nil {
		return nil, fmt.Errorf("want arguments that are a JSON object, found %.60s", raw)
	}
	return b.Bytes(), nil
}

// unfenced takes an answer out of a Markdown fence, which models like to put around JSON.
func unfenced(s string) string {
	s = strings.TrimSpace(s)
	rest, ok := strings.CutPrefix(s, "```")
	if !ok || !strings.HasSuffix(rest, "```") {
		return s
	}
	rest = strings.TrimPrefix(strings.TrimSuffix(rest, "```"), "json")
	return strings.TrimSpace(rest)
}

// opening is how calls begin, without white space.
const opening = `{"tool_calls":`

// MayBeCalls says whether a text that begins so may still become calls, so that a stream must hold it back.
func MayBeCalls(begin string) bool {
	begin = strings.TrimLeft(begin, " \t\r\n")
	for _, fence := range []string{"```json", "```"} {
		if strings.HasPrefix(fence, begin) {
			return true
		}
		if rest, ok := strings.CutPrefix(begin, fence); ok {
			begin = rest
			break
		}
	}
	i := 0
	for _, c := range []byte(begin) {
		switch {
		case i == len(opening):
			return true
		case c == opening[i]:
			i++
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			if i > 2 && i < len(opening)-1 {
				return false // inside the name
			}
		default:
			return false
		}
	}
	return true
}

// Hold keeps the beginning of a streamed answer back while it may become calls.
type Hold struct {
	tools []Tool // that may be called
	held  string
	open  bool // what comes is held back
}

// NewHold is for an answer that may call these tools.
func NewHold(all []Tool, c Choice) *Hold { return &Hold{tools: all, open: Active(all, c)} }

// Text is what may be shown now that a piece has come.
func (h *Hold) Text(piece string) string {
	if !h.open {
		return piece
	}
	h.held += piece
	if MayBeCalls(h.held) {
		return ""
	}
	h.open = false
	return h.held
}

// End is what is still held back at the end of the answer: calls, or a text that became none.
func (h *Hold) End() (calls []Call, text string) {
	if !h.open {
		return nil, ""
	}
	h.open = false
	if calls = Parse(h.held, h.tools); calls != nil {
		return calls, ""
	}
	return nil, h.held
}
