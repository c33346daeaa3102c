package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// Draft is a file of our own before its bytes exist: where each of them will lie. Whoever makes it writes the tensors to their
// places, in any order and in as many attempts as it takes, then calls Seal. Bytes that no tensor takes are zero.
type Draft struct {
	w      *writer
	parts  map[string][]place
	header []byte // without checksums
	end    int64
	summed []bool // chunks that lie in one tensor; set by Seal
}

// Extent is a range of bytes of a file.
type Extent struct{ Offset, Length int64 }

// place is where a part of a matrix, or a norm, lies.
type place struct {
	part
	Extent
	rows int64 // bytes of one padded row; 0: the part does not grow with the rows
}

// NewDraft says where the tensors of m lie. Of m's norms and matrices only lengths and specs count.
func NewDraft(m *Model) (*Draft, error) {
	drafted := *m
	drafted.Matrices = maps.Clone(m.Matrices)
	for name, src := range drafted.Matrices {
		src.Pack = func(func(*quant.Matrix) error) error { return errors.New("a draft has no weights") }
		drafted.Matrices[name] = src
	}
	w, err := newWriter(context.Background(), &drafted)
	if err != nil {
		return nil, err
	}
	d := &Draft{w: w, parts: map[string][]place{}, summed: make([]bool, len(w.chunks))}
	if d.header, err = gguf.AppendHeader(nil, w.entries, w.tensors); err != nil {
		return nil, err
	}
	d.end = int64(len(d.header))
	offsets := map[string]Extent{}
	for _, t := range w.tensors {
		n, err := sourceBytes(t)
		if err != nil {
			return nil, err
		}
		offsets[t.Name] = Extent{d.end, n}
		d.end += n + -n&(alignment-1)
	}
	for _, s := range ownSpecs(&m.Config) {
		if len(s.shape) == 1 {
			d.parts[s.name] = []place{{Extent: offsets[s.name]}}
			continue
		}
		for _, p := range parts(s.name, m.Matrices[s.name].Spec) {
			x := place{part: p, Extent: offsets[p.name]}
			if p.shape(s.shape[0], s.shape[1])[0] == quant.PaddedRows(s.shape[0]) && p.shape(quant.StripRows, s.shape[1])[0] == quant.StripRows {
				x.rows = x.Length / int64(quant.PaddedRows(s.shape[0]))
			}
			d.parts[s.name] = append(d.parts[s.name], x)
		}
	}
	return d, nil
}

// sourceBytes is the number of bytes of a tensor; arch.Config.Validate keeps it far below 2^63.
func sourceBytes(t gguf.Source) (int64, error) {
	row, err := t.Type.RowSize(t.Shape[len(t.Shape)-1])
	if err != nil {
		return 0, fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	n := int64(row)
	for _, d := range t.Shape[:len(t.Shape)-1] {
		n *= int64(d)
	}
	return n, nil
}

// Size is the number of bytes of the file.
func (d *Draft) Size() int64 { return d.end }

// Header is the file's metadata with zeros for checksums: all that the file says but its weights.
func (d *Draft) Header() []byte { return slices.Clone(d.header) }

// Places lists where the parts of rows [first, first+rows) of a matrix lie, or a norm, whose only row is 0. first is a multiple
// of 16.
func (d *Draft) Places(name string, first, rows int) []Extent {
	var list []Extent
	for _, p := range d.parts[name] {
		switch {
		case p.rows != 0:
			list = append(list, Extent{p.Offset + int64(first)*p.rows, int64(quant.PaddedRows(rows)) * p.rows})
		case first == 0:
			list = append(list, p.Extent)
		}
	}
	return list
}

// Bytes lists the bytes for those places of a piece of the matrix, which begins at row first. They alias the piece.
func (d *Draft) Bytes(name string, first int, piece *quant.Matrix) [][]byte {
	var list [][]byte
	for _, p := range d.parts[name] {
		if p.rows == 0 && first != 0 {
			continue
		}
		switch v := p.of(piece).(type) {
		case *[]byte:
			list = append(list, *v)
		case *[]float32:
			list = append(list, bytesOf(*v))
		case *[]int32:
			list = append(list, bytesOf(*v))
		}
	}
	return list
}

// bytesOf sees 4-byte numbers as bytes.
func bytesOf[T float32 | int32](v []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// Seal sums all that was written and writes the header, which makes f a whole file. Tensors are read by several goroutines at a
// time: loop runs body for 0 to n-1.
func (d *Draft) Seal(ctx context.Context, f File, loop func(n int, body func(i int) error) error) error {
	start := int64(len(d.header))
	tensors := make([]Extent, len(d.w.tensors))
	at := start
	for i, t := range d.w.tensors {
		n, err := sourceBytes(t)
		if err != nil {
			return err
		}
		tensors[i] = Extent{at, n}
		at += n + -n&(alignment-1)
	}
	err := loop(len(tensors), func(i int) error { return d.digest(ctx, f, i, tensors[i]) })
	if err == nil {
		err = loop(len(d.w.chunks), func(i int) error { return d.sumChunk(ctx, f, i) })
	}
	if err != nil {
		return err
	}
	return d.writeHeader(f)
}

// SetReport puts a report into the space that Model.ReportSpace reserved, of a file that Seal has made whole.
func (d *Draft) SetReport(f File, report string) error {
	i := slices.IndexFunc(d.w.entries, func(e gguf.Entry) bool { return e.Key == reportKey })
	if i < 0 {
		return errors.New("report: want room reserved for one, found none")
	}
	room := len(d.w.entries[i].Value.(string))
	if len(report) > room || !utf8.ValidString(report) {
		return fmt.Errorf("report: want at most %d bytes of UTF-8, found %d", room, len(report))
	}
	d.w.entries[i].Value = report + strings.Repeat(" ", room-len(report))
	return d.writeHeader(f)
}

func (d *Draft) writeHeader(f File) error {
	header, err := gguf.AppendHeader(nil, d.w.entries, d.w.tensors)
	if err != nil {
		return err
	}
	if len(header) != len(d.header) {
		return fmt.Errorf("metadata: %d bytes became %d", len(d.header), len(header))
	}
	putHeaderSum(header)
	_, err = f.WriteAt(header, 0)
	return err
}

// File is what Seal reads and writes.
type File interface {
	io.ReaderAt
	io.WriterAt
}

// digest sums a tensor, and the chunks that lie in it whole.
func (d *Draft) digest(ctx context.Context, f File, i int, e Extent) error {
	sum, buffer := sha256.New(), make([]byte, chunkSize)
	start := int64(len(d.header))
	for at := e.Offset; at < e.Offset+e.Length; {
		chunk := (at - start) / chunkSize
		n := min(start+(chunk+1)*chunkSize, e.Offset+e.Length) - at
		if err := readAt(ctx, f, buffer[:n], at); err != nil {
			return err
		}
		sum.Write(buffer[:n]) // a hash never returns an error
		if n == chunkSize {
			d.w.chunks[chunk] = crc32.Checksum(buffer, castagnoli)
			d.summed[chunk] = true
		}
		at += n
	}
	d.w.digests[i] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// sumChunk sums a chunk of several tensors.
func (d *Draft) sumChunk(ctx context.Context, f File, i int) error {
	if d.summed[i] {
		return nil
	}
	at := int64(len(d.header)) + int64(i)*chunkSize
	buffer := make([]byte, min(chunkSize, d.end-at))
	if err := readAt(ctx, f, buffer, at); err != nil {
		return err
	}
	d.w.chunks[i] = crc32.Checksum(buffer, castagnoli)
	return nil
}

func readAt(ctx context.Context, f File, b []byte, at int64) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	n, err := f.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
