package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// A file of our own is GGUF with llama.cpp's tensor names, 64-byte aligned, that no program needs to convert:
//
//   - a matrix X.weight has its rows padded to 16 and its columns to 4 and lies in the order of its quant.Layout. W8C is
//     typed I8 and followed by X.scale (F32, one per padded row) and X.rowsum (I32, likewise); F32, F16 and BF16 are typed so.
//     W8G, W4G and W4L are typed I8 too (4 bits: two weights a byte) and followed by X.scale and, where their format has
//     minima, X.min: F16 or F32, [padded rows, groups], in the order of quant.Matrix.Scales; W4L's table is X.table (F32, 16).
//   - a norm is F32, stored as w+1.
//   - systemgemma.layout.* are four arrays with one element per matrix: name, format (quant.Spec.Format), rows and columns without padding.
//   - systemgemma.config.* hold what GGUF's own keys can't say exactly.
//   - seal.go says how checksums cover every byte.
const (
	ownPrefix  = "systemgemma."
	versionKey = "systemgemma.layout.version"
	// LayoutVersion changes whenever a file could be misread by an older program.
	LayoutVersion = 1

	namesKey   = "systemgemma.layout.tensors"
	layoutsKey = "systemgemma.layout.layouts"
	rowsKey    = "systemgemma.layout.rows"
	columnsKey = "systemgemma.layout.columns"

	scalarKey = "systemgemma.config.query_pre_attn_scalar"
	thetaKey  = "systemgemma.config.rope_theta"
	globalKey = "systemgemma.config.global_layers"
	tiedKey   = "systemgemma.config.tie_word_embeddings"

	controlKey    = "systemgemma.tokenizer.control_by_type"
	modeKey       = "systemgemma.system_mode"
	eosKey        = "systemgemma.eos_token_ids"
	provenanceKey = "systemgemma.provenance."
	reportKey     = "systemgemma.quality"

	alignment = 64
)

// storedType is how a layout's weights are typed in the file.
var storedType = map[quant.Layout]gguf.Type{
	quant.W8C: gguf.I8, quant.W8G: gguf.I8, quant.W4G: gguf.I8, quant.W4L: gguf.I8, quant.F32: gguf.F32, quant.BF16: gguf.BF16, quant.F16: gguf.F16,
}

// isOwn says whether Write made f. One key is enough: damage to others must not make it look like another program's file.
func isOwn(f *gguf.File) bool {
	return slices.ContainsFunc(f.Metadata, func(v gguf.Value) bool {
		return strings.HasPrefix(v.Key, "systemgemma.layout.") || strings.HasPrefix(v.Key, "systemgemma.crc32c.")
	})
}

// FileVersion is the version of a file of our own, whether or not this program reads it; 0: it is none.
func FileVersion(path string) (version int, err error) {
	m, err := mmap.Open(path)
	if err != nil {
		return 0, err
	}
	err = mmap.Guard(func() error {
		if !bytes.HasPrefix(m.Data, []byte("GGUF")) {
			return nil
		}
		f, err := gguf.Parse(m.Data)
		if err != nil || !isOwn(f) {
			return err
		}
		md := &metadata{file: f}
		version = md.int(versionKey, required)
		return md.err
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return version, errors.Join(err, m.Close())
}

// readOwn reads a file of our own.
func (c *Checkpoint) readOwn(f *gguf.File, data []byte, weights bool) error {
	var err error
	if c.seal, err = readSeal(f, data); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	m := &metadata{file: f}
	if v := m.int(versionKey, required); m.err == nil && v != LayoutVersion {
		return fmt.Errorf("metadata %s: want %d, found %d; use a newer version of this program, or convert the model again", versionKey, LayoutVersion, v)
	}
	if m.err != nil {
		return m.err
	}
	if err := c.readGGUFText(f); err != nil {
		return err
	}
	c.SystemMode = m.text(modeKey, "")
	c.Report = strings.TrimRight(m.text(reportKey, ""), " ")
	delete(c.Metadata, reportKey)
	eos, err := read(m, eosKey, nil, gguf.Value.Ints), m.err
	if err != nil {
		return err
	}
	for _, id := range eos {
		if id < 0 || id > math.MaxInt32 {
			return fmt.Errorf("metadata %s: want ids from 0, found %d", eosKey, id)
		}
		c.EOS = append(c.EOS, int32(id))
	}
	if c.EOS, err = endIDs(c.Vocab, c.EOS); err != nil || !weights {
		return err
	}
	if c.Config, err = ownConfig(f); err != nil {
		return err
	}
	c.HasConfig = true
	if err := c.readMatrices(f); err != nil {
		return err
	}
	return c.checkText()
}

// ownConfig reads the config; ours says exactly what other files leave to rules.
func ownConfig(f *gguf.File) (arch.Config, error) {
	m := &metadata{file: f}
	cfg, err := ggufConfig(f)
	if err != nil {
		return cfg, err
	}
	cfg.QueryPreAttnScalar = m.float(scalarKey, cfg.QueryPreAttnScalar)
	cfg.RopeTheta = m.float(thetaKey, cfg.RopeTheta)
	cfg.TieEmbeddings = read(m, tiedKey, cfg.TieEmbeddings, gguf.Value.Bool)
	cfg.Global = read(m, globalKey, cfg.Global, gguf.Value.Bools)
	if m.err != nil {
		return cfg, m.err
	}
	return cfg, cfg.Validate()
}

// readMatrices takes from f what the config asks for, in the order in which Write stores it, and nothing else.
func (c *Checkpoint) readMatrices(f *gguf.File) error {
	table, err := readLayouts(f)
	if err != nil {
		return err
	}
	c.Tensors, c.Matrices = map[string]Tensor{}, map[string]quant.Matrix{}
	taken := 0
	for _, s := range ownSpecs(&c.Config) {
		if len(s.shape) == 1 {
			t, err := tensorOf(f, s.name, gguf.F32, s.shape)
			if err != nil {
				return err
			}
			c.Tensors[s.name] = fromGGUF(t)
			taken++
			continue
		}
		row, ok := table[s.name]
		if !ok || row.rows != s.shape[0] || row.columns != s.shape[1] {
			return fmt.Errorf("tensor %s: want %s (from its config), found %dx%d; convert the checkpoint again", s.name, dims(s.shape), row.rows, row.columns)
		}
		m, err := readMatrix(f, s, row.Spec)
		if err != nil {
			return err
		}
		c.Matrices[s.name] = m
		taken += len(parts(s.name, row.Spec))
	}
	if taken != len(f.Tensors) {
		return fmt.Errorf("want %d tensors (from its config), found %d; convert the checkpoint again", taken, len(f.Tensors))
	}
	if len(c.Matrices) != len(table) {
		return fmt.Errorf("metadata %s: want %d matrices (from its config), found %d; convert the checkpoint again", namesKey, len(c.Matrices), len(table))
	}
	return nil
}

// ownSpecs lists a model's parameters with its head, if it has one of its own.
func ownSpecs(c *arch.Config) []spec {
	list := specs(c)
	if !c.TieEmbeddings {
		list = append(list, headSpec(c))
	}
	return list
}

// layoutRow is one matrix as systemgemma.layout.* describe it.
type layoutRow struct {
	quant.Spec
	rows, columns int
}

func readLayouts(f *gguf.File) (map[string]layoutRow, error) {
	m := &metadata{file: f}
	names := read(m, namesKey, nil, gguf.Value.Texts)
	layouts := read(m, layoutsKey, nil, gguf.Value.Texts)
	rows := read(m, rowsKey, nil, gguf.Value.Ints)
	columns := read(m, columnsKey, nil, gguf.Value.Ints)
	if m.err != nil {
		return nil, m.err
	}
	if len(layouts) != len(names) || len(rows) != len(names) || len(columns) != len(names) {
		return nil, fmt.Errorf("metadata systemgemma.layout: want four arrays of one length, found %d, %d, %d and %d",
			len(names), len(layouts), len(rows), len(columns))
	}
	table := make(map[string]layoutRow, len(names))
	for i, name := range names {
		spec, err := quant.ParseFormat(layouts[i])
		if err != nil {
			return nil, fmt.Errorf("metadata %s[%d]: %w", layoutsKey, i, err)
		}
		table[name] = layoutRow{spec, rows[i], columns[i]}
	}
	return table, nil
}

// part is one of the tensors that store a matrix.
type part struct {
	name  string
	typ   gguf.Type
	shape func(rows, columns int) []int
	of    func(*quant.Matrix) any // the field that it stores: *[]byte, *[]float32 or *[]int32
}

// parts lists the tensors that store a matrix: its weights and what its layout has besides.
func parts(name string, f quant.Spec) []part {
	base := strings.TrimSuffix(name, "weight")
	perRow := func(rows, _ int) []int { return []int{quant.PaddedRows(rows)} }
	perGroup := func(rows, columns int) []int { return []int{quant.PaddedRows(rows), columns / f.Grouping.Size} }
	list := []part{{name, storedType[f.Layout], weightsShape(f.Layout), func(m *quant.Matrix) any { return &m.Data }}}
	if f.Layout == quant.W8C {
		return append(list,
			part{base + "scale", gguf.F32, perRow, func(m *quant.Matrix) any { return &m.Scale }},
			part{base + "rowsum", gguf.I32, perRow, func(m *quant.Matrix) any { return &m.RowSum }})
	}
	typ := gguf.F32
	if f.Grouping.HalfScales {
		typ = gguf.F16
	}
	if f.Grouping.Size != 0 {
		list = append(list, part{base + "scale", typ, perGroup, func(m *quant.Matrix) any { return &m.Scales }})
	}
	if f.Grouping.Mins {
		list = append(list, part{base + "min", typ, perGroup, func(m *quant.Matrix) any { return &m.Mins }})
	}
	if f.Layout == quant.W4L {
		list = append(list, part{base + "table", gguf.F32, func(int, int) []int { return []int{16} }, func(m *quant.Matrix) any { return &m.Table }})
	}
	return list
}

// weightsShape is the shape of the weights as they are typed.
func weightsShape(l quant.Layout) func(rows, columns int) []int {
	return func(rows, columns int) []int {
		if l.Bits() == 4 { // two weights a byte
			columns = l.RowBytes(columns)
		}
		return []int{quant.PaddedRows(rows), quant.PaddedCols(columns)}
	}
}

func readMatrix(f *gguf.File, s spec, as quant.Spec) (quant.Matrix, error) {
	m := quant.Matrix{Layout: as.Layout, Grouping: as.Grouping, Rotation: as.Rotation, Outliers: as.Outliers, Rows: s.shape[0], Cols: s.shape[1]}
	if _, err := as.For(m.Cols); err != nil {
		return m, fmt.Errorf("tensor %s: %w", s.name, err)
	}
	for _, p := range parts(s.name, as) {
		t, err := tensorOf(f, p.name, p.typ, p.shape(m.Rows, m.Cols))
		if err != nil {
			return m, err
		}
		switch field := p.of(&m).(type) {
		case *[]byte:
			*field = aligned(t.Data)
		case *[]float32:
			*field = numbers[float32](t.Data)
		case *[]int32:
			*field = numbers[int32](t.Data)
		}
	}
	for r, x := range m.Scale {
		if !(x >= 0 && x <= math.MaxFloat32) {
			return m, fmt.Errorf("tensor %s: row %d: want a number from 0, found %v", parts(s.name, as)[1].name, r, x)
		}
	}
	if err := m.Validate(); err != nil {
		return m, fmt.Errorf("tensor %s: %w", s.name, err)
	}
	return m, nil
}

// tensorOf returns a tensor that must have that type and shape.
func tensorOf(f *gguf.File, name string, typ gguf.Type, shape []int) (gguf.Tensor, error) {
	t, ok := f.Tensor(name)
	switch {
	case !ok:
		return t, fmt.Errorf("tensor %s: missing; convert the checkpoint again", name)
	case t.Type != typ || !slices.Equal(t.Shape, shape):
		return t, fmt.Errorf("tensor %s: want %s of %v (from its config), found %s of %v; convert the checkpoint again",
			name, dims(shape), typ, dims(t.Shape), t.Type)
	}
	return t, nil
}

// aligned returns data itself if its address is a multiple of 64, as in every mapped file, else a copy that is.
func aligned(data []byte) []byte {
	if uintptr(unsafe.Pointer(unsafe.SliceData(data)))%alignment == 0 {
		return data
	}
	room := make([]byte, len(data)+alignment-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(room))) % alignment)
	room = room[skip : skip+len(data) : skip+len(data)]
	copy(room, data)
	return room
}

// numbers returns the same memory as 4-byte numbers. Its address is checked and its length comes from data itself, so no
// size that a file declares takes part.
func numbers[T float32 | int32](data []byte) []T {
	data = aligned(data)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/4)
}
