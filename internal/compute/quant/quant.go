// Package quant owns the weight layouts: how a matrix of weights lies in memory, and how it gets there.
//
// Every layout stores strips of 16 output rows, each strip one sequential stream over the input columns (docs/design.md
// section 4). Rows are padded with zeros to a multiple of 16, columns to a multiple of 4.
//
// It must not know how a product is computed (package kernel) nor what a matrix is for (package gemma2).
package quant

import "fmt"

// Layout names the order and type of a matrix's weights.
type Layout uint8

const (
	// W8C is int8, shape [strips][cols/4][16 rows][4 cols], with a float32 scale and an int32 sum per row. Ours lie in
	// [-127, 127]; those of other programs may be -128.
	W8C Layout = iota + 1
	// F32 is float32, shape [strips][cols][16 rows].
	F32
	// BF16 is bfloat16, shape [strips][cols/2][16 rows][2 cols]: a 32-bit lane holds a row's even and odd column.
	BF16
	// F16 is IEEE half precision, shape [strips][cols][16 rows].
	F16
	// W8G is int8 in [-128, 127], ordered as W8C, with a scale and perhaps a minimum per row and group of columns: Grouping.
	W8G
	// W4G is 4 bits, shape [strips][cols/8][16 rows][4 bytes]: byte j holds column j low and column j+4 high. A weight is
	// scale*(q-8), or scale*q + min.
	W4G
	// W4L is 4 bits ordered as W4G, each the index of a number in the matrix' table, times a float32 scale per row and 64
	// columns (NF4, FP4).
	W4L
)

var layoutNames = map[Layout]string{W8C: "W8C", F32: "F32", BF16: "BF16", F16: "F16", W8G: "W8G", W4G: "W4G", W4L: "W4L"}

// String gives the layout's name as files and `show` print it.
func (l Layout) String() string {
	if s, ok := layoutNames[l]; ok {
		return s
	}
	return fmt.Sprintf("Layout(%d)", uint8(l))
}

// ParseLayout is the inverse of String.
func ParseLayout(s string) (Layout, error) {
	for l, name := range layoutNames {
		if name == s {
			return l, nil
		}
	}
	return 0, fmt.Errorf("layout: want W8C, W8G, W4G, W4L, F32, BF16 or F16, found %q", s)
}

// Bits is the number of bits of one weight, scales apart.
func (l Layout) Bits() int {
	switch l {
	case W4G, W4L:
		return 4
	case W8C, W8G:
		return 8
	case F32:
		return 32
	default:
		return 16
	}
}

// RowBytes is the number of bytes that one row takes, its scales apart.
func (l Layout) RowBytes(cols int) int {
	if l.Bits() == 4 {
		return (cols + 7) &^ 7 / 2
	}
	return PaddedCols(cols) * l.Bits() / 8
}

// StripRows is the number of output rows that one strip holds.
const StripRows = 16

// PaddedRows rounds a number of output rows up to whole strips.
func PaddedRows(rows int) int { return (rows + StripRows - 1) &^ (StripRows - 1) }

// PaddedCols rounds a number of input columns up to whole tiles.
func PaddedCols(cols int) int { return (cols + 3) &^ 3 }

// Matrix is one weight matrix: y[r] = sum over k of W[r][k] * x[k]. Its slices may alias a read-only mapped file.
type Matrix struct {
	Layout     Layout
	Rows, Cols int       // as the model has them; the data is padded
	Data       []byte    // PaddedRows*PaddedCols weights in Layout's order, 64-byte aligned
	Scale      []float32 // W8C: per row, len PaddedRows; nil otherwise
	RowSum     []int32   // W8C: sum of each row's int8 weights, len PaddedRows; nil otherwise

	Grouping     Grouping  // W8G, W4G and W4L; zero otherwise
	Scales, Mins []byte    // W8G, W4G, W4L: [strips][groups][16 rows], Grouping's type, 64-byte aligned; Mins may be nil
	Table        []float32 // W4L: the 16 numbers; nil otherwise

	Rotation int     // as Spec has it: Data holds W times the rotation, so that kernel.Hadamard of x is to be multiplied
	Outliers float32 // as Spec has it
}

// DataSize is the number of bytes that a matrix's Data has.
func DataSize(l Layout, rows, cols int) int {
	return PaddedRows(rows) * l.RowBytes(cols)
}

// Strips is the number of 16-row strips.
func (m *Matrix) Strips() int { return PaddedRows(m.Rows) / StripRows }

// Part is rows [first, first+rows) of the matrix, which alias it. first must be a multiple of StripRows, and first+rows too or
// the end.
func (m *Matrix) Part(first, rows int) *Matrix {
	if end := first + rows; first%StripRows != 0 || first < 0 || rows < 1 || end > m.Rows || end%StripRows != 0 && end != m.Rows {
		panic(fmt.Sprintf("quant.Part: rows %d to %d of a matrix of %dx%d", first, first+rows, m.Rows, m.Cols))
	}
	p, padded := *m, PaddedRows(m.Rows)
	p.Rows = rows
	lo, hi := first, first+PaddedRows(rows)
	p.Data, p.Scales, p.Mins = rowsOf(m.Data, padded, lo, hi), rowsOf(m.Scales, padded, lo, hi), rowsOf(m.Mins, padded, lo, hi)
	p.Scale, p.RowSum = rowsOf(m.Scale, padded, lo, hi), rowsOf(m.RowSum, padded, lo, hi)
	return &p
}

// rowsOf is the part of x, which has as much for each of all rows, that belongs to [lo, hi).
func rowsOf[T any](x []T, all, lo, hi int) []T {
	n := len(x) / all
	if n == 0 {
		return nil
	}
	return x[lo*n : hi*n : hi*n]
}

// Strip returns the bytes of strip s.
func (m *Matrix) Strip(s int) []byte { return m.Span(s, 1) }

// Span returns the bytes of the n strips from s on.
func (m *Matrix) Span(s, n int) []byte {
	size := StripRows * m.Layout.RowBytes(m.Cols)
	return m.Data[s*size : (s+n)*size : (s+n)*size]
}

// Validate reports a field whose length does not fit the shape, so that later code may index without checks.
func (m *Matrix) Validate() error {
	if m.Rows < 1 || m.Cols < 1 || m.Rows > 1<<22 || m.Cols > 1<<16 {
		return fmt.Errorf("shape: want 1..%d rows and 1..%d columns, found %dx%d", 1<<22, 1<<16, m.Rows, m.Cols)
	}
	if want := DataSize(m.Layout, m.Rows, m.Cols); len(m.Data) != want {
		return fmt.Errorf("data: want %d bytes for %dx%d %v, found %d", want, m.Rows, m.Cols, m.Layout, len(m.Data))
	}
	if m.Layout == W8C && (len(m.Scale) != PaddedRows(m.Rows) || len(m.RowSum) != PaddedRows(m.Rows)) {
		return fmt.Errorf("scales and row sums: want %d each, found %d and %d", PaddedRows(m.Rows), len(m.Scale), len(m.RowSum))
	}
	return m.validateGroups()
}

func (m *Matrix) validateGroups() error {
	if err := m.Spec().validate(m.Cols); err != nil {
		return err
	}
	wantScales, wantMins := 0, 0
	if m.Layout.scaled() {
		wantScales = m.Grouping.ScaleBytes(m.Rows, m.Cols)
	}
	if m.Grouping.Mins {
		wantMins = wantScales
	}
	if len(m.Scales) != wantScales || len(m.Mins) != wantMins || (m.Mins != nil) != m.Grouping.Mins {
		return fmt.Errorf("group scales and minima: want %d and %d bytes for %dx%d %s, found %d and %d",
			wantScales, wantMins, m.Rows, m.Cols, m.Spec().Format(), len(m.Scales), len(m.Mins))
	}
	if want := tableLen(m.Layout); len(m.Table) != want {
		return fmt.Errorf("table: want %d numbers for %v, found %d", want, m.Layout, len(m.Table))
	}
	return nil
}

func tableLen(l Layout) int {
	if l == W4L {
		return 16
	}
	return 0
}
