package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/checkpoint/checked"
)

// Source is one tensor to write. Write is called once, in the order of the tensors, and must write exactly the bytes that
// type and shape take: data can be made while the file grows, so that memory stays small.
type Source struct {
	Name  string
	DType DType
	Shape []int
	Write func(w io.Writer) error
}

// Size is the number of bytes that type and shape take. The error says why there is none.
func (s *Source) Size() (int, error) {
	size, ok := checked.Product(math.MaxInt, append([]int{s.DType.Size()}, s.Shape...)...)
	if !ok || s.DType.Size() == 0 || len(s.Shape) > maxDims {
		return 0, fmt.Errorf("tensor %q: want a known type and at most %d dimensions of less than 2^63 bytes, found %q %s", s.Name, maxDims, string(s.DType), dims(s.Shape))
	}
	return size, nil
}

// Write writes tensors and metadata as one file, in the given order: the same input gives the same bytes. The header is
// padded with blanks to a multiple of 8, so that data which follows is aligned as in a file of the reference writer.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	sources := make([]Source, len(tensors))
	for i, t := range tensors {
		sources[i] = Source{t.Name, t.DType, t.Shape, func(w io.Writer) error { _, err := w.Write(t.Data); return err }}
		if size, err := sources[i].Size(); err != nil {
			return err
		} else if size != len(t.Data) {
			return fmt.Errorf("tensor %q: want the bytes of %s %s, found %d", t.Name, t.DType, dims(t.Shape), len(t.Data))
		}
	}
	return Stream(w, sources, metadata)
}

// Stream is Write for tensors whose data is made as it is written.
func Stream(w io.Writer, tensors []Source, metadata map[string]string) error {
	header, err := Header(tensors, metadata)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range tensors {
		size, err := t.Size()
		if err != nil {
			return err
		}
		c := &counter{w: w}
		if err := t.Write(c); err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if c.n != size {
			return fmt.Errorf("tensor %s: want %d bytes of %s %s, found %d written", t.Name, size, t.DType, dims(t.Shape), c.n)
		}
	}
	return nil
}

// Header is all that comes before the tensors' data, which follows in their order without gaps. Their Write may be nil.
func Header(tensors []Source, metadata map[string]string) ([]byte, error) {
	header, err := appendHeader(make([]byte, 8), tensors, metadata)
	if err != nil {
		return nil, err
	}
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	if len(header)-8 > maxHeader {
		return nil, fmt.Errorf("header: want at most %d bytes, found %d", maxHeader, len(header)-8)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	return header, nil
}

func appendHeader(b []byte, tensors []Source, metadata map[string]string) ([]byte, error) {
	b = append(b, '{')
	if metadata != nil {
		b = append(b, `"__metadata__":`...)
		b = append(appendJSON(b, metadata), ',')
	}
	begin := 0
	seen := make(map[string]bool, len(tensors))
	for _, t := range tensors {
		if seen[t.Name] || t.Name == "__metadata__" || !utf8.ValidString(t.Name) {
			return nil, fmt.Errorf("tensor %q: want a unique name of UTF-8", t.Name)
		}
		seen[t.Name] = true
		size, err := t.Size()
		if err != nil {
			return nil, err
		}
		b = append(appendJSON(b, t.Name), ':')
		b = appendJSON(b, struct {
			DType   DType  `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}{t.DType, append([]int{}, t.Shape...), [2]int{begin, begin + size}})
		b = append(b, ',')
		begin += size
	}
	return append(bytes.TrimSuffix(b, []byte(",")), '}'), nil
}

// appendJSON appends v, which is a string, a map of strings or a struct of numbers: nothing that can fail to marshal.
func appendJSON(b []byte, v any) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("safetensors: marshal %T: %v", v, err))
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// counter counts the bytes that pass.
type counter struct {
	w io.Writer
	n int
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += n
	return n, err
}
