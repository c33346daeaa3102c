package jinja

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
)

// fromJSON reads one JSON value into what Render takes; the order of names is kept.
func fromJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return readJSON(d)
}

func readJSON(d *json.Decoder) (any, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Number:
		return readNumber(tok)
	case json.Delim:
		if tok == '{' {
			return readObject(d)
		}
		return readArray(d)
	}
	return tok, nil
}

// readNumber gives an integer for a number without point and exponent, as Python does.
func readNumber(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	if i, ok := new(big.Int).SetString(n.String(), 10); ok {
		return i, nil
	}
	return n.Float64()
}

func readArray(d *json.Decoder) (any, error) {
	list := []any{}
	for d.More() {
		v, err := readJSON(d)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func readObject(d *json.Decoder) (any, error) {
	o := Object{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := readJSON(d)
		if err != nil {
			return nil, err
		}
		o = append(o, Field{name.(string), v}) // the decoder lets nothing else stand here
	}
	_, err := d.Token()
	return o, err
}

// joined is the whole text of a render.
func joined(segs []Segment) string {
	var b strings.Builder
	for _, s := range segs {
		b.WriteString(s.Text)
	}
	return b.String()
}
