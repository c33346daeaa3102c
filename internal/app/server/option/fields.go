package option

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// MaxDepth bounds how deep arrays and objects of a body lie in each other.
const MaxDepth = 64

// Fields are the members of a JSON object. Each is taken once, by its name; what is left at the end is not known. A member that is
// null counts as not given.
type Fields struct {
	raw   map[string]json.RawMessage
	where string // prefix of names in errors, such as "options."
}

// Decode reads a body: a JSON object of UTF-8, of bounded depth, without a name that comes twice.
func Decode(body []byte) (*Fields, error) {
	if !utf8.Valid(body) {
		return nil, problem.Invalid("", "body: want UTF-8, found other bytes")
	}
	if err := checkDepth(body); err != nil {
		return nil, err
	}
	f := &Fields{raw: map[string]json.RawMessage{}}
	d := json.NewDecoder(bytes.NewReader(body))
	t, err := d.Token()
	if err == io.EOF {
		return nil, problem.Invalid("", "body: want a JSON object, found nothing")
	}
	if err == nil && t != json.Delim('{') {
		return nil, problem.Invalid("", "body: want a JSON object, found %.40s", bytes.TrimSpace(body))
	}
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		key, _ := name.(string) // names are strings, or Token fails
		var value json.RawMessage
		if err = d.Decode(&value); err != nil {
			break
		}
		if _, twice := f.raw[key]; twice {
			return nil, problem.Invalid(key, "want it once, found it twice")
		}
		f.raw[key] = value
	}
	if err == nil {
		_, err = d.Token() // the closing brace
	}
	if err != nil {
		return nil, problem.Invalid("", "body: want JSON, found a mistake at byte %d: %v", d.InputOffset(), readable(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, problem.Invalid("", "body: want one JSON object, found more after it")
	}
	return f, nil
}

// readable leaves out that an end came unexpectedly in Go's words.
func readable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("it ends too early")
	}
	return err
}

// checkDepth counts brackets outside of strings. What else is wrong, the parser tells.
func checkDepth(body []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return problem.Invalid("", "body: want arrays and objects in each other at most %d deep, found more at byte %d", MaxDepth, i)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// Object makes Fields of a member that is an object; nil if it is not given. Its members count to names' errors as NAME.MEMBER.
func (f *Fields) Object(name string) (*Fields, error) {
	raw, ok := f.Raw(name)
	if !ok {
		return nil, nil
	}
	sub := &Fields{where: f.where + name + "."}
	if err := json.Unmarshal(raw, &sub.raw); err != nil {
		return nil, f.wrong(name, "an object", raw)
	}
	return sub, nil
}

// Objects makes Fields of the members of a list; nil if it is not given.
func (f *Fields) Objects(name string) ([]*Fields, error) {
	list, err := f.List(name, "a list of objects")
	if err != nil {
		return nil, err
	}
	var all []*Fields
	for i, raw := range list {
		sub := &Fields{where: fmt.Sprintf("%s%s[%d].", f.where, name, i)}
		if err := json.Unmarshal(raw, &sub.raw); err != nil || sub.raw == nil {
			return nil, f.wrong(fmt.Sprintf("%s[%d]", name, i), "an object", raw)
		}
		all = append(all, sub)
	}
	return all, nil
}

// Of makes Fields of raw, an object that stands at where.
func Of(raw json.RawMessage, where string) (*Fields, error) {
	f := &Fields{where: where + "."}
	if err := json.Unmarshal(raw, &f.raw); err != nil || f.raw == nil {
		return nil, problem.Invalid(where, "want an object, found %s", excerpt(raw))
	}
	return f, nil
}

// Has says whether a member is given, without taking it.
func (f *Fields) Has(name string) bool {
	raw, ok := f.raw[name]
	return ok && string(raw) != "null"
}

// Name is a member's name in errors.
func (f *Fields) Name(name string) string { return f.where + name }

// Raw takes a member as it is.
func (f *Fields) Raw(name string) (raw json.RawMessage, found bool) {
	raw, found = f.raw[name]
	delete(f.raw, name)
	raw = bytes.TrimSpace(raw)
	return raw, found && string(raw) != "null"
}

// Peek is Raw, and leaves the member there.
func (f *Fields) Peek(name string) (raw json.RawMessage, found bool) {
	raw = bytes.TrimSpace(f.raw[name])
	return raw, f.Has(name)
}

// Rest is the names that nobody took.
func (f *Fields) Rest() []string { return slices.Sorted(maps.Keys(f.raw)) }

// Invalid is an error about a member.
func (f *Fields) Invalid(name, format string, args ...any) error {
	return problem.Invalid(f.where+name, format, args...)
}

func (f *Fields) wrong(name, want string, raw json.RawMessage) error {
	return f.Invalid(name, "want %s, found %s", want, excerpt(raw))
}

// excerpt is the beginning of a value.
func excerpt(raw json.RawMessage) string {
	const most = 60
	text := strings.ToValidUTF8(string(raw), "")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " ..."
}

// Text takes a string. A missing one is "".
func (f *Fields) Text(name string) (s string, found bool, err error) {
	raw, found := f.Raw(name)
	if !found {
		return "", false, nil
	}
	if json.Unmarshal(raw, &s) != nil {
		return "", false, f.wrong(name, "a text", raw)
	}
	return s, true, nil
}

// Bool takes true or false.
func (f *Fields) Bool(name string) (b, found bool, err error) {
	raw, found := f.Raw(name)
	switch {
	case !found:
		return false, false, nil
	case string(raw) == "true":
		return true, true, nil
	case string(raw) == "false":
		return false, true, nil
	}
	return false, false, f.wrong(name, "true or false", raw)
}

// Number takes a number, within limits.
func (f *Fields) Number(name string, least, most float64) (x float64, found bool, err error) {
	raw, found := f.Raw(name)
	if !found {
		return 0, false, nil
	}
	if !isNumber(raw) {
		return 0, false, f.wrong(name, "a number", raw)
	}
	if x, err = strconv.ParseFloat(string(raw), 64); err != nil || math.IsInf(x, 0) || x < least || x > most {
		return 0, false, f.wrong(name, fmt.Sprintf("a number from %v to %v", least, most), raw)
	}
	return x, true, nil
}

func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// Int takes a whole number, within limits. It may be written with a fraction of zero, as some clients do.
func (f *Fields) Int(name string, least, most int) (n int, found bool, err error) {
	raw, found := f.Raw(name)
	if !found {
		return 0, false, nil
	}
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	if most == math.MaxInt {
		want = fmt.Sprintf("a whole number, %d or more", least)
	}
	if !isNumber(raw) {
		return 0, false, f.wrong(name, want, raw)
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || x != math.Trunc(x) || x < float64(least) || x > float64(most) || math.Abs(x) > 1<<53 {
		return 0, false, f.wrong(name, want, raw)
	}
	return int(x), true, nil
}

// Texts takes a list of strings, or one string. Each is 1 to longest bytes long.
func (f *Fields) Texts(name string, most, longest int) (list []string, found bool, err error) {
	raw, found := f.Raw(name)
	if !found {
		return nil, false, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(raw, &list) != nil {
		return nil, false, f.wrong(name, "a text or a list of texts", raw)
	}
	if len(list) > most {
		return nil, false, f.Invalid(name, "want at most %d texts, found %d", most, len(list))
	}
	for _, s := range list {
		if s == "" || len(s) > longest {
			return nil, false, f.Invalid(name, "want texts of 1 to %d bytes, found one of %d", longest, len(s))
		}
	}
	return list, true, nil
}

// List takes a list of anything.
func (f *Fields) List(name, want string) (list []json.RawMessage, err error) {
	raw, found := f.Raw(name)
	if !found {
		return nil, nil
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil, f.wrong(name, want, raw)
	}
	return list, nil
}

// IDs takes a list of token ids.
func (f *Fields) IDs(name string) (ids []int32, found bool, err error) {
	raw, found := f.Raw(name)
	if !found {
		return nil, false, nil
	}
	if ids, err = ParseIDs(raw); err != nil {
		return nil, false, f.Invalid(name, "%v", err)
	}
	return ids, true, nil
}

// ParseIDs reads a list of token ids. Whether a model has them, it knows.
func ParseIDs(raw json.RawMessage) ([]int32, error) {
	ids := []int32{}
	if err := json.Unmarshal(raw, &ids); err != nil {
		return nil, fmt.Errorf("want a list of token ids, found %s", excerpt(raw))
	}
	for i, id := range ids {
		if id < 0 {
			return nil, fmt.Errorf("want token ids of 0 and more, found %d at place %d", id, i)
		}
	}
	return ids, nil
}
