package quant

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

// Spec says how a matrix is stored and, with it, how it is multiplied: all that tells one kind of weights from another. Specs
// are equal if they are ==.
type Spec struct {
	Layout   Layout
	Grouping Grouping    // W8G, W4G and W4L; zero otherwise
	Rotation int         // W8C: columns in a block of the Hadamard rotation (kernel.Hadamard); 0 for none
	Outliers float32     // W8C: activations of this magnitude or more are multiplied unrounded; 0 for none
	Table    [16]float32 // W4L: the numbers; zero otherwise. Format leaves it out: it is stored apart
	Double   bool        // W4L: scales are rounded once more when all are known (Finish). Not stored: the scales are
}

// MaxRotation is the largest block of a rotation, minRotation the smallest; every block is a power of two.
const (
	MaxRotation = 256
	minRotation = 16
)

// OutlierThreshold is the one of LLM.int8 (arXiv:2208.07339).
const OutlierThreshold = 6

// types are the kinds of weights by the names that commands give them, floats first; those with a group size in
// their name apart.
var types = []struct {
	name string
	spec Spec
}{
	{"f32", Spec{Layout: F32}}, {"f16", Spec{Layout: F16}}, {"bf16", Spec{Layout: BF16}},
	{"q8_0", Spec{Layout: W8G, Grouping: Q8Grouping}},
	{"w8a8", Spec{Layout: W8C}},
	{"w8a8-rotated", Spec{Layout: W8C, Rotation: MaxRotation}},
	{"llm-int8", Spec{Layout: W8C, Outliers: OutlierThreshold}},
	{"q4_1", Spec{Layout: W4G, Grouping: Q41Grouping}},
	{"q4_0", Spec{Layout: W4G, Grouping: Q4Grouping}},
	{"w4", w4(32)},
	{"nf4", Spec{Layout: W4L, Grouping: TableGrouping, Table: NF4, Double: true}},
	{"fp4", Spec{Layout: W4L, Grouping: TableGrouping, Table: FP4, Double: true}},
}

func w8(size int) Spec {
	return Spec{Layout: W8G, Grouping: Grouping{Size: size, PerToken: true}}
}

func w4(size int) Spec {
	return Spec{Layout: W4G, Grouping: Grouping{Size: size, HalfScales: true, PerToken: true}}
}

// TypeNames lists what ParseSpec takes; "w4" is short for "w4-g32".
func TypeNames() []string {
	var names []string
	for _, t := range types {
		names = append(names, t.name)
	}
	for _, l := range []Layout{W8G, W4G} {
		for _, size := range GroupSizesFor(l) {
			if name := grouped[l].spec(size).Name(); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// grouped are the kinds whose names end in a group size.
var grouped = map[Layout]struct {
	prefix string
	spec   func(size int) Spec
}{W8G: {"w8a8-g", w8}, W4G: {"w4-g", w4}}

// ParseSpec returns the spec of a kind of weights by the name that commands give it: "w8a8", "w8a8-g64", "nf4". For says
// whether it suits a matrix.
func ParseSpec(name string) (Spec, error) {
	for _, t := range types {
		if t.name == name {
			return t.spec, nil
		}
	}
	for l, kind := range grouped {
		digits, ok := strings.CutPrefix(name, kind.prefix)
		if !ok {
			continue
		}
		size, _ := strconv.Atoi(digits)
		if sizes := GroupSizesFor(l); strconv.Itoa(size) != digits || !slices.Contains(sizes, size) {
			return Spec{}, fmt.Errorf("type of weights %.40q: want a group size of %v, found %.20q", name, sizes, digits)
		}
		return kind.spec(size), nil
	}
	var names []string
	for _, t := range types {
		names = append(names, t.name)
	}
	return Spec{}, fmt.Errorf("type of weights: want one of %s, w8a8-gN, w4-gN (N: a group size), found %.40q", strings.Join(names, ", "), name)
}

// Name is the inverse of ParseSpec; a spec without such a name gives its format.
func (s Spec) Name() string {
	s.Double = s.Layout == W4L
	if s.Rotation != 0 {
		s.Rotation = MaxRotation // the name leaves the block to the matrix
	}
	for _, t := range types {
		if t.spec == s {
			return t.name
		}
	}
	if kind, ok := grouped[s.Layout]; ok && s == kind.spec(s.Grouping.Size) {
		return kind.prefix + strconv.Itoa(s.Grouping.Size)
	}
	return s.Format()
}

// For is the spec of a matrix with that many columns: a rotation's block becomes the largest power of two that divides them.
// Where nothing fits, the error says what would.
func (s Spec) For(cols int) (Spec, error) {
	sizes := GroupSizesFor(s.Layout, cols)
	if s.Layout.Grouped() && slices.Contains(GroupSizesFor(s.Layout), s.Grouping.Size) && !slices.Contains(sizes, s.Grouping.Size) {
		return s, fmt.Errorf("%s: groups of %d do not divide %d columns; sizes that do: %v", s.Name(), s.Grouping.Size, cols, sizes)
	}
	if s.Rotation > 0 {
		for s.Rotation = min(s.Rotation, MaxRotation); cols%s.Rotation != 0; {
			s.Rotation /= 2
		}
		if s.Rotation < minRotation {
			return s, fmt.Errorf("%s: want a multiple of %d columns, found %d; types without rotation do", s.Name(), minRotation, cols)
		}
	}
	if err := s.validate(cols); err != nil {
		return s, fmt.Errorf("%s: %w", s.Name(), err)
	}
	return s, nil
}

// GroupSizesFor lists the group sizes of a layout that divide all these numbers of columns.
func GroupSizesFor(l Layout, cols ...int) []int {
	var sizes []int
	for _, size := range GroupSizes {
		if (l != W4G || size >= 32) && !slices.ContainsFunc(cols, func(n int) bool { return n%size != 0 }) {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// validate reports what the layout or the columns do not allow.
func (s Spec) validate(cols int) error {
	if _, ok := layoutNames[s.Layout]; !ok {
		return fmt.Errorf("layout: found unknown %v", s.Layout)
	}
	if s.Rotation != 0 && (s.Layout != W8C || s.Rotation < minRotation || s.Rotation > MaxRotation || s.Rotation&(s.Rotation-1) != 0 || cols%s.Rotation != 0) {
		return fmt.Errorf("rotation: want W8C and a power of two from %d to %d that divides the %d columns, found %v and %d", minRotation, MaxRotation, cols, s.Layout, s.Rotation)
	}
	if s.Outliers != 0 && (s.Layout != W8C || !(s.Outliers > 0 && s.Outliers <= math.MaxFloat32) || s.Rotation != 0) {
		return fmt.Errorf("outlier threshold: want W8C without rotation and a number above 0, found %v with rotation %d and %v", s.Layout, s.Rotation, s.Outliers)
	}
	if s.Layout != W4L && (s.Double || s.Table != [16]float32{}) {
		return fmt.Errorf("table: want none for %v, found one", s.Layout)
	}
	return s.Grouping.Validate(s.Layout, cols)
}

// Format names the spec as files store it: "W8C", "W8C-r256", "W8C-o6", "W8G-g32-f16-min-token". The table is not part of it.
func (s Spec) Format() string {
	name := s.Layout.String() + s.Grouping.String()
	if s.Rotation != 0 {
		name += "-r" + strconv.Itoa(s.Rotation)
	}
	if s.Outliers != 0 {
		name += "-o" + strconv.FormatFloat(float64(s.Outliers), 'f', -1, 32)
	}
	return name
}

// ParseFormat is the inverse of Format.
func ParseFormat(name string) (s Spec, err error) {
	layout, rest, _ := strings.Cut(name, "-")
	if s.Layout, err = ParseLayout(layout); err != nil {
		return s, err
	}
	for _, p := range strings.Split(rest, "-") { // what a comparison below finds wrong needs no care here
		switch {
		case p == "f16":
			s.Grouping.HalfScales = true
		case p == "min":
			s.Grouping.Mins = true
		case p == "token":
			s.Grouping.PerToken = true
		case strings.HasPrefix(p, "r"):
			s.Rotation, _ = strconv.Atoi(p[1:])
		case strings.HasPrefix(p, "o"):
			v, _ := strconv.ParseFloat(p[1:], 32)
			s.Outliers = float32(v)
		default:
			s.Grouping.Size, _ = strconv.Atoi(strings.TrimPrefix(p, "g"))
		}
	}
	if s.Format() != name || s.Outliers != s.Outliers || s.Layout.scaled() != (s.Grouping.Size != 0) {
		return s, fmt.Errorf("layout: want a name such as W8C, W8C-r256, BF16 or W8G-g32-f16-min-token, found %q", name)
	}
	return s, nil
}

// Spec is how the matrix is stored. Double is not known of a matrix, and false.
func (m *Matrix) Spec() Spec {
	s := Spec{Layout: m.Layout, Grouping: m.Grouping, Rotation: m.Rotation, Outliers: m.Outliers}
	copy(s.Table[:], m.Table)
	return s
}

// New returns a matrix of zeros as For has it, ready for PackRow. Its data lies outside Go's heap, in block, which the caller
// frees.
func (s Spec) New(rows, cols int) (m *Matrix, block *offheap.Block, err error) {
	if s, err = s.For(cols); err != nil {
		return nil, nil, fmt.Errorf("new matrix: %w", err)
	}
	data, scales := DataSize(s.Layout, rows, cols), 0
	if s.Layout.scaled() {
		scales = s.Grouping.ScaleBytes(rows, cols)
	}
	at := (data + 63) &^ 63 // scales begin at a multiple of 64, as do minima
	size, mins := at+scales, (at+scales+63)&^63
	if s.Grouping.Mins {
		size = mins + scales
	}
	block, err = offheap.Alloc(size)
	if err != nil {
		return nil, nil, err
	}
	b := block.Bytes()
	m = &Matrix{Layout: s.Layout, Rows: rows, Cols: cols, Data: b[:data:data], Grouping: s.Grouping, Rotation: s.Rotation, Outliers: s.Outliers}
	if s.Layout.scaled() {
		m.Scales = b[at : at+scales : at+scales]
	}
	if s.Grouping.Mins {
		m.Mins = b[mins:size:size]
	}
	if s.Layout == W4L {
		m.Table = slices.Clone(s.Table[:])
	}
	if s.Layout == W8C {
		m.Scale, m.RowSum = make([]float32, PaddedRows(rows)), make([]int32, PaddedRows(rows))
	}
	if err := m.Validate(); err != nil {
		_ = block.Free() // the first error is the one to report
		return nil, nil, fmt.Errorf("new matrix: %w", err)
	}
	return m, block, nil
}

// Bytes is the memory of a matrix of that size.
func (s Spec) Bytes(rows, cols int) int64 {
	n := int64(DataSize(s.Layout, rows, cols))
	if s.Layout == W8C {
		n += 8 * int64(PaddedRows(rows))
	}
	if s.Layout.scaled() {
		scales := int64(s.Grouping.ScaleBytes(rows, cols))
		if n += scales; s.Grouping.Mins {
			n += scales
		}
	}
	return n
}

// Embedding is the kind that suits the embedding of a model whose other matrices are of kind s, unless someone asks for another
// one: s, but plain w8a8 for w4. A tied embedding is the head too, and with 4 bits it loses as much as all layers together: on
// Mini w4 keeps the best id in 98.7 % of places with it, and in 99.3 % without.
func (s Spec) Embedding() Spec {
	if s.Layout == W4G && s.Grouping.PerToken {
		return Spec{Layout: W8C}
	}
	return s
}
