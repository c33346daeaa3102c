package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// construct is one line of constructs.jsonl, which tools/golden/templates.py writes with the reference's Jinja.
type construct struct {
	Name     string
	Template string
	Context  json.RawMessage
	Text     *string
	Error    *struct{ Kind, Message string }
}

func TestGoldenConstructs(t *testing.T) {
	n := 0
	for c := range golden.Lines[construct](t, filepath.Join(golden.Dir(t, "templates"), "constructs.jsonl")) {
		n++
		got, err := renderJSON(t, c.Template, c.Context)
		var fault *Error
		switch {
		case c.Error == nil && err != nil:
			t.Errorf("%s: template %q: error %v, want text %q", c.Name, c.Template, err, *c.Text)
		case c.Error == nil && got != *c.Text:
			t.Errorf("%s: template %q, context %s:\n got %q\nwant %q", c.Name, c.Template, c.Context, got, *c.Text)
		case c.Error != nil && !errors.As(err, &fault):
			t.Errorf("%s: template %q: text %q, want %s error %q", c.Name, c.Template, got, c.Error.Kind, c.Error.Message)
		case c.Error != nil && fault.Kind.String() != c.Error.Kind:
			t.Errorf("%s: template %q: %s error %q, want %s error %q", c.Name, c.Template, fault.Kind, fault.Message, c.Error.Kind, c.Error.Message)
		case c.Error != nil && c.Error.Kind == "raise" && fault.Message != c.Error.Message:
			t.Errorf("%s: template %q: raised %q, want %q", c.Name, c.Template, fault.Message, c.Error.Message)
		}
	}
	golden.Count(t, n)
}

func renderJSON(t testing.TB, source string, vars json.RawMessage) (string, error) {
	t.Helper()
	tpl, err := Parse(source)
	if err != nil {
		return "", err
	}
	segs, err := tpl.Render(decode(t, vars).(Object))
	return Join(segs), err
}

// decode reads JSON into the types that Render takes; the order of names is kept.
func decode(t testing.TB, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d)
	if err != nil {
		t.Fatalf("decode %s: %v", data, err)
	}
	return v
}

func decodeValue(d *json.Decoder) (any, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Number:
		if n, err := tok.Int64(); err == nil {
			return n, nil
		}
		return tok.Float64()
	case json.Delim:
		return decodeContainer(d, tok)
	}
	return tok, nil
}

func decodeContainer(d *json.Decoder, open json.Delim) (any, error) {
	list, object := []any{}, Object{}
	for d.More() {
		name := ""
		if open == '{' {
			tok, err := d.Token()
			if err != nil {
				return nil, err
			}
			name = fmt.Sprint(tok)
		}
		v, err := decodeValue(d)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		object = append(object, Field{name, v})
	}
	_, err := d.Token()
	if open == '{' {
		return object, err
	}
	return list, err
}
