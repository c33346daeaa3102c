package checkpoint

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// Model is what Write stores. The same Model gives the same bytes.
type Model struct {
	Name         string // for general.name
	Config       arch.Config
	Norms        map[string][]float32    // by GGUF name, stored as w+1, without padding
	Matrices     map[string]MatrixSource // by GGUF name; with output.weight only if the head is not tied
	Vocab        *tokenizer.Vocab        // nil: a file without tokenizer
	ChatTemplate string
	SystemMode   string
	EOS          []int32
	Generation   Generation
	ReportSpace  int               // bytes reserved for a report (Draft.SetReport); 0: none
	Provenance   map[string]string // where the model comes from (base, revision, options, tool ...), for people and reports
}

// MatrixSource gives one matrix in pieces, so that no more than a piece is in memory.
type MatrixSource struct {
	quant.Spec // as Spec.For has it for the matrix' columns
	// Pack calls emit with pieces of the matrix from its first row to its last, each with whole strips but for the last one.
	// Write keeps nothing of a piece, and calls Spec.Finish when it has them all.
	Pack func(emit func(piece *quant.Matrix) error) error
}

// Write makes or replaces the file at path: a model of our own format, ready to be mapped. On an error, or when ctx ends,
// nothing is left behind. Memory: the metadata several times, one piece, one matrix' scales, and four bytes for each MiB of the
// file.
func Write(ctx context.Context, path string, m *Model) error {
	w, err := newWriter(ctx, m)
	if err == nil {
		err = writeAtomic(path, w.write)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writer writes one file: a header with room for checksums, the tensors, then the header again with the checksums in it.
type writer struct {
	ctx     context.Context
	entries []gguf.Entry
	tensors []gguf.Source
	header  int // bytes

	chunks  []uint32
	digests []string
}

func newWriter(ctx context.Context, m *Model) (*writer, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	w := &writer{ctx: ctx}
	w.addTensors(m)
	described := m.entries()
	for _, e := range described {
		if s, ok := e.Value.(string); ok && !utf8.ValidString(s) {
			return nil, fmt.Errorf("metadata %s: want UTF-8, found %.40q", e.Key, s)
		}
	}
	size := 0
	for _, t := range w.tensors {
		row, err := t.Type.RowSize(t.Shape[len(t.Shape)-1])
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		n := row
		for _, d := range t.Shape[:len(t.Shape)-1] {
			n *= d // far below 2^63: arch.Config.Validate bounds each
		}
		size += n + -n&(alignment-1)
	}
	// Fixed-size space, filled when the sums are known.
	w.chunks = make([]uint32, numChunks(size))
	w.digests = slices.Repeat([]string{strings.Repeat("0", 2*sha256.Size)}, len(w.tensors))
	w.entries = slices.Concat([]gguf.Entry{{Key: headerKey, Value: uint32(0)}}, described, []gguf.Entry{
		{Key: sizeKey, Value: uint64(size)}, {Key: tableKey, Value: w.chunks}, {Key: digestsKey, Value: w.digests},
	})
	return w, nil
}

// write fills f.
func (w *writer) write(f *os.File) error {
	header, err := gguf.AppendHeader(nil, w.entries, w.tensors)
	if err != nil {
		return err
	}
	w.header = len(header)
	out := bufio.NewWriterSize(f, chunkSize)
	if err := gguf.Write(&summer{w: out, skip: w.header, chunks: w.chunks}, w.entries, w.tensors); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if header, err = gguf.AppendHeader(header[:0], w.entries, w.tensors); err != nil {
		return err
	}
	if len(header) != w.header {
		return fmt.Errorf("metadata: %d bytes became %d", w.header, len(header))
	}
	putHeaderSum(header)
	_, err = f.WriteAt(header, 0)
	return err
}

// addTensors lists the tensors in the order of the model.
func (w *writer) addTensors(m *Model) {
	for _, s := range ownSpecs(&m.Config) {
		if len(s.shape) == 1 {
			w.add(s.name, gguf.F32, s.shape, func(out io.Writer) error {
				return binary.Write(out, binary.LittleEndian, m.Norms[s.name])
			})
			continue
		}
		src := m.Matrices[s.name]
		p := &packer{ctx: w.ctx, as: src.Spec, rest: quant.Matrix{Layout: src.Layout, Grouping: src.Grouping, Rows: s.shape[0], Cols: s.shape[1]}}
		for i, part := range parts(s.name, p.as) {
			w.add(part.name, part.typ, part.shape(p.rest.Rows, p.rest.Cols), func(out io.Writer) error {
				if i == 0 {
					return p.pack(out, src)
				}
				return writeField(out, part.of(&p.rest))
			})
		}
	}
}

// writeField writes a part's field and lets go of its memory.
func writeField(out io.Writer, field any) (err error) {
	switch v := field.(type) {
	case *[]byte:
		_, err = out.Write(*v)
		*v = nil
	case *[]float32:
		err = binary.Write(out, binary.LittleEndian, *v)
		*v = nil
	case *[]int32:
		err = binary.Write(out, binary.LittleEndian, *v)
		*v = nil
	}
	return err
}

// add appends a tensor whose digest is kept when it is written.
func (w *writer) add(name string, typ gguf.Type, shape []int, write func(io.Writer) error) {
	i := len(w.tensors)
	w.tensors = append(w.tensors, gguf.Source{Name: name, Type: typ, Shape: shape, Write: func(out io.Writer) error {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		digest := sha256.New()
		if err := write(io.MultiWriter(out, digest)); err != nil {
			return err
		}
		w.digests[i] = hex.EncodeToString(digest.Sum(nil))
		return nil
	}})
}

// packer writes a matrix piece by piece and keeps what its layout stores behind the weights.
type packer struct {
	ctx  context.Context
	as   quant.Spec
	done int          // rows written
	rest quant.Matrix // the matrix' shape, and its pieces' fields joined, weights excepted
}

func (p *packer) pack(out io.Writer, src MatrixSource) error {
	err := src.Pack(func(piece *quant.Matrix) error {
		if err := errors.Join(p.ctx.Err(), piece.Validate()); err != nil {
			return err
		}
		if piece.Spec().Format() != p.as.Format() || piece.Cols != p.rest.Cols || p.done%quant.StripRows != 0 || p.done+piece.Rows > p.rest.Rows {
			return fmt.Errorf("want whole strips of %s with %d columns up to row %d, found %s %dx%d at row %d",
				p.as.Format(), p.rest.Cols, p.rest.Rows, piece.Spec().Format(), piece.Rows, piece.Cols, p.done)
		}
		p.done += piece.Rows
		p.rest.Scale = append(p.rest.Scale, piece.Scale...)
		p.rest.RowSum = append(p.rest.RowSum, piece.RowSum...)
		p.rest.Scales = append(p.rest.Scales, piece.Scales...)
		p.rest.Mins = append(p.rest.Mins, piece.Mins...)
		if p.rest.Table != nil && !slices.Equal(p.rest.Table, piece.Table) {
			return fmt.Errorf("want one table for all pieces, found another at row %d", p.done)
		}
		p.rest.Table = slices.Clone(piece.Table)
		_, err := out.Write(piece.Data)
		return err
	})
	if err == nil && p.done != p.rest.Rows {
		err = fmt.Errorf("want %d rows, found %d", p.rest.Rows, p.done)
	}
	if err == nil {
		p.as.Finish(&p.rest)
	}
	return err
}

// summer passes bytes on and sums those after the first skip in chunks.
type summer struct {
	w      io.Writer
	skip   int
	chunks []uint32
	at     int // bytes summed
}

func (s *summer) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	if err != nil {
		return n, err
	}
	head := min(s.skip, len(b))
	s.skip -= head
	for b = b[head:]; len(b) > 0; {
		i := s.at / chunkSize
		part := b[:min(len(b), (i+1)*chunkSize-s.at)]
		s.chunks[i] = crc32.Update(s.chunks[i], castagnoli, part)
		s.at += len(part)
		b = b[len(part):]
	}
	return n, nil
}

// validate holds a Model to what Open will accept.
func (m *Model) validate() error {
	if err := m.Config.Validate(); err != nil {
		return err
	}
	norms, matrices := 0, 0
	for _, s := range ownSpecs(&m.Config) {
		if len(s.shape) == 1 {
			norms++
			if len(m.Norms[s.name]) != s.shape[0] {
				return fmt.Errorf("norm %s: want %d values, found %d", s.name, s.shape[0], len(m.Norms[s.name]))
			}
			continue
		}
		matrices++
		src, ok := m.Matrices[s.name]
		if _, known := storedType[src.Layout]; !ok || !known || src.Pack == nil {
			return fmt.Errorf("matrix %s: want a layout and a source, found %v", s.name, src.Layout)
		}
		spec, err := src.For(s.shape[1])
		if err == nil && spec != src.Spec {
			err = fmt.Errorf("want %s, found %s", spec.Format(), src.Format())
		}
		if err != nil {
			return fmt.Errorf("matrix %s: %w", s.name, err)
		}
	}
	if norms != len(m.Norms) || matrices != len(m.Matrices) {
		return fmt.Errorf("want %d norms and %d matrices (from the config), found %d and %d", norms, matrices, len(m.Norms), len(m.Matrices))
	}
	if m.Vocab != nil && len(m.Vocab.Pieces) > m.Config.VocabSize {
		return fmt.Errorf("tokenizer: want at most %d pieces (the embedding's rows), found %d", m.Config.VocabSize, len(m.Vocab.Pieces))
	}
	return nil
}
