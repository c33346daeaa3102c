package jinja

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// maxJSONDepth bounds the depth of a JSON value: far above any conversation's, far below what would exhaust a stack.
const maxJSONDepth = 200

// FromJSON reads one JSON value into what Render takes. Names keep their order; numbers are integers where they are written so.
func FromJSON(data []byte) (any, error) {
	r := jsonReader{json.NewDecoder(bytes.NewReader(data))}
	r.UseNumber()
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one JSON value, found more behind it")
	}
	return v, nil
}

type jsonReader struct{ *json.Decoder }

func (r jsonReader) value(depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("want JSON nested at most %d deep, found more", maxJSONDepth)
	}
	tok, err := r.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Number:
		return readNumber(tok)
	case json.Delim:
		if tok == '{' {
			return r.object(depth + 1)
		}
		return r.array(depth + 1)
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

func (r jsonReader) array(depth int) (any, error) {
	list := []any{}
	for r.More() {
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.Token()
	return list, err
}

func (r jsonReader) object(depth int) (any, error) {
	o := Object{}
	for r.More() {
		name, err := r.Token()
		if err != nil {
			return nil, err
		}
		v, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		o = append(o, Field{name.(string), v}) // the decoder lets nothing else stand here
	}
	_, err := r.Token()
	return o, err
}
