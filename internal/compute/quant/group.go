package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// Grouping says how the weights of a W8G or W4G matrix share scales. It is zero for all other layouts.
type Grouping struct {
	Size       int  // columns that share a scale: one of GroupSizes, dividing the columns
	HalfScales bool // scales and minima are IEEE half precision, else float32
	Mins       bool // a weight is scale*q + min, else scale*q
	PerToken   bool // a product rounds activations with one scale per token, else with one per 32 columns
}

// GroupSizes are the sizes that a group can have; W4G begins at 32.
var GroupSizes = []int{16, 32, 64, 128, 256, 512}

// String gives the grouping as files name it behind the layout: "-g32-f16-min-token".
func (g Grouping) String() string {
	if g == (Grouping{}) {
		return ""
	}
	s := "-g" + strconv.Itoa(g.Size)
	if g.HalfScales {
		s += "-f16"
	}
	if g.Mins {
		s += "-min"
	}
	if g.PerToken {
		s += "-token"
	}
	return s
}

// Grouped says whether the layout has integers with scales per group of columns.
func (l Layout) Grouped() bool { return l == W8G || l == W4G }

// scaled says whether the layout has scales per group of columns; W4L's are those of numbers in a table.
func (l Layout) scaled() bool { return l.Grouped() || l == W4L }

// TableGrouping is the one of W4L.
var TableGrouping = Grouping{Size: 64}

// ScaleBytes is the number of bytes of a matrix's group scales, and of its minima if it has any.
func (g Grouping) ScaleBytes(rows, cols int) int {
	n := PaddedRows(rows) * (cols / g.Size)
	if g.HalfScales {
		return 2 * n
	}
	return 4 * n
}

// Validate reports a grouping that the layout or the columns do not allow.
func (g Grouping) Validate(l Layout, cols int) error {
	if !l.scaled() {
		if g != (Grouping{}) {
			return fmt.Errorf("grouping: want none for %v, found %v", l, g)
		}
		return nil
	}
	if l == W4L && g != TableGrouping {
		return fmt.Errorf("grouping of %v: want %v, found %v", l, TableGrouping, g)
	}
	if !slices.Contains(GroupSizes, g.Size) || l == W4G && g.Size < 32 {
		return fmt.Errorf("group size of %v: want one of %v (W4G from 32), found %d", l, GroupSizes, g.Size)
	}
	if cols%g.Size != 0 {
		return fmt.Errorf("group size %d: want a divisor of the %d columns", g.Size, cols)
	}
	if !g.PerToken && cols%32 != 0 {
		return fmt.Errorf("columns: want a multiple of 32 where activations have a scale per 32, found %d", cols)
	}
	return nil
}

// StripScales returns the scales of strip s and its minima, nil if there are none: [groups][16], half or float32.
func (m *Matrix) StripScales(s int) (scales, mins []byte) { return m.SpanScales(s, 1) }

// SpanScales is StripScales of the n strips from s on.
func (m *Matrix) SpanScales(s, n int) (scales, mins []byte) {
	size := len(m.Scales) / m.Strips()
	scales = m.Scales[s*size : (s+n)*size : (s+n)*size]
	if m.Mins != nil {
		mins = m.Mins[s*size : (s+n)*size : (s+n)*size]
	}
	return scales, mins
}

// scale reads element i of scales or minima; setScale writes it, rounding to half precision where that is the type.
func (m *Matrix) scale(b []byte, i int) float32 {
	if m.Grouping.HalfScales {
		return half.FromF16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
}

func (m *Matrix) setScale(b []byte, i int, v float32) {
	if m.Grouping.HalfScales {
		binary.LittleEndian.PutUint16(b[2*i:], half.ToF16(v))
		return
	}
	binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
}

// code is the integer of a weight: W8G's int8, W4G's 0 to 15, less 8 where there are no minima.
func (m *Matrix) code(d []byte, lane, k int) int {
	if m.Layout == W8G {
		return int(int8(d[k/4*64+4*lane+k%4]))
	}
	q := int(d[k/8*64+4*lane+k%4]) >> (k & 4) & 15
	if m.Layout == W4G && m.Mins == nil {
		q -= 8
	}
	return q
}

// setCode writes the bits of a weight: an int8, or 0 to 15.
func (m *Matrix) setCode(d []byte, lane, k, q int) {
	if m.Layout == W8G {
		d[k/4*64+4*lane+k%4] = byte(q)
		return
	}
	p := &d[k/8*64+4*lane+k%4]
	*p = *p&^(15<<(k&4)) | byte(q)<<(k&4)
}

// groupValue is a weight: of W4L the product of its number and scale, rounded once, of the others scale*q + min: one product and one sum, each rounded to float32. With half-precision scales the product is
// exact, so that there is one rounding.
func (m *Matrix) groupValue(scales, mins []byte, i, q int) float32 {
	if m.Layout == W4L {
		return m.Table[q] * m.scale(scales, i)
	}
	v := float32(m.scale(scales, i) * float32(q))
	if mins != nil {
		v += m.scale(mins, i)
	}
	return v
}

func (m *Matrix) groupRow(dst []float32, r int) {
	d, lane := m.Strip(r/StripRows), r%StripRows
	scales, mins := m.StripScales(r / StripRows)
	for k := range dst {
		dst[k] = m.groupValue(scales, mins, k/m.Grouping.Size*StripRows+lane, m.code(d, lane, k))
	}
}

func (m *Matrix) groupStripF32(dst []float32, s int) {
	d := m.Strip(s)
	scales, mins := m.StripScales(s)
	for k := range m.Cols {
		for lane := range StripRows {
			dst[16*k+lane] = m.groupValue(scales, mins, k/m.Grouping.Size*StripRows+lane, m.code(d, lane, k))
		}
	}
}
