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

// Write writes tensors and metadata as one file, in the given order: the same input gives the same bytes. The header is
// padded with blanks to a multiple of 8, so that data which follows is aligned as in a file of the reference writer.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string) error {
	header, err := appendHeader(make([]byte, 8), tensors, metadata)
	if err != nil {
		return err
	}
	for len(header)%8 != 0 {
		header = append(header, ' ')
	}
	if len(header)-8 > maxHeader {
		return fmt.Errorf("header: want at most %d bytes, found %d", maxHeader, len(header)-8)
	}
	binary.LittleEndian.PutUint64(header, uint64(len(header)-8))
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range tensors {
		if _, err := w.Write(t.Data); err != nil {
			return err
		}
	}
	return nil
}

func appendHeader(b []byte, tensors []Tensor, metadata map[string]string) ([]byte, error) {
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
		size, ok := checked.Product(math.MaxInt, append([]int{t.DType.Size()}, t.Shape...)...)
		if !ok || t.DType.Size() == 0 || size != len(t.Data) || len(t.Shape) > maxDims {
			return nil, fmt.Errorf("tensor %q: want the bytes of %s %s, found %d", t.Name, t.DType, dims(t.Shape), len(t.Data))
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
