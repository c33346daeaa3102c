package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// entry is one tensor as the header describes it: nothing but the JSON's form is checked yet.
type entry struct {
	name       string
	dtype      DType
	shape      []int
	begin, end int
}

// headerReader reads the header token by token: unmarshalling would keep the last of two equal keys in silence, and would
// build whatever nesting a hostile header has.
type headerReader struct{ *json.Decoder }

func parseHeader(header []byte) (entries []entry, metadata map[string]string, err error) {
	r := headerReader{json.NewDecoder(bytes.NewReader(header))}
	r.UseNumber()
	err = r.object(func(name string) error {
		if name == "__metadata__" {
			if metadata != nil {
				return errors.New("found twice")
			}
			metadata, err = r.metadata()
			return err
		}
		if len(entries) == maxTensors {
			return fmt.Errorf("want at most %d tensors, found more", maxTensors)
		}
		e, err := r.entry(name)
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("want nothing but blanks after the JSON object, found more")
	}
	return entries, metadata, nil
}

// object calls field with each key, with the reader standing before the value.
func (r headerReader) object(field func(key string) error) error {
	if err := r.delim('{'); err != nil {
		return err
	}
	for r.More() {
		key, err := r.string()
		if err != nil {
			return err
		}
		if err := field(key); err != nil {
			return fmt.Errorf("%.100q: %w", key, err)
		}
	}
	return r.delim('}')
}

func (r headerReader) metadata() (map[string]string, error) {
	m := map[string]string{}
	return m, r.object(func(key string) error {
		if _, twice := m[key]; twice {
			return errors.New("found twice")
		}
		if len(m) == maxMetadata {
			return fmt.Errorf("want at most %d entries, found more", maxMetadata)
		}
		v, err := r.string()
		m[key] = v
		return err
	})
}

func (r headerReader) entry(name string) (entry, error) {
	e := entry{name: name}
	var offsets []int
	seen := map[string]bool{}
	err := r.object(func(key string) (err error) {
		if seen[key] {
			return errors.New("found twice")
		}
		seen[key] = true
		switch key {
		case "dtype":
			var s string
			s, err = r.string()
			e.dtype = DType(s)
		case "shape":
			e.shape, err = r.sizes(maxDims)
		case "data_offsets":
			offsets, err = r.sizes(2)
		default:
			err = errors.New("want dtype, shape or data_offsets")
		}
		return err
	})
	switch {
	case err != nil:
		return e, err
	case !seen["dtype"] || !seen["shape"] || len(offsets) != 2:
		return e, errors.New("want dtype, shape and two data_offsets")
	}
	e.begin, e.end = offsets[0], offsets[1]
	return e, nil
}

// sizes reads an array of at most limit non-negative whole numbers.
func (r headerReader) sizes(limit int) ([]int, error) {
	if err := r.delim('['); err != nil {
		return nil, err
	}
	list := []int{}
	for r.More() {
		t, err := r.Token()
		if err != nil {
			return nil, err
		}
		number, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("want a number, found %.100q", fmt.Sprint(t))
		}
		n, err := strconv.ParseUint(number.String(), 10, strconv.IntSize-1)
		if err != nil {
			return nil, fmt.Errorf("want a whole number below 2^%d, found %.100s", strconv.IntSize-1, number)
		}
		if len(list) == limit {
			return nil, fmt.Errorf("want at most %d numbers, found more", limit)
		}
		list = append(list, int(n))
	}
	return list, r.delim(']')
}

func (r headerReader) string() (string, error) {
	t, err := r.Token()
	if err != nil {
		return "", noEOF(err)
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("want a string, found %.100q", fmt.Sprint(t))
	}
	return s, nil
}

func (r headerReader) delim(want json.Delim) error {
	t, err := r.Token()
	if err != nil {
		return noEOF(err)
	}
	if t != want {
		return fmt.Errorf("want %v, found %.100q", want, fmt.Sprint(t))
	}
	return nil
}

// noEOF keeps an unfinished header apart from a finished one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
