package peft

import (
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
)

// Replaced says whether the module gives the whole parameter.
func (m *Module) Replaced() bool { return m.Rank == 0 }

// Scaled says whether the module is DoRA: each row of the sum of base and change is scaled to a length of its own.
func (m *Module) Scaled() bool { return m.magnitude != nil }

// Format names the type of a replacement's numbers, as GGUF does.
func (m *Module) Format() string { return m.replacement.Type.String() }

// Replacement decodes row r of a replacement, len(dst) == Cols. A norm is w, not 1+w.
func (m *Module) Replacement(dst []float32, r int) error { return m.replacement.Row(dst, r) }

// stride is the length of a row of decoded factors: the kernels want multiples of 16.
func (m *Module) stride() int { return (m.Cols + 15) &^ 15 }

// Right returns row k of the factor that faces the input, shape [Rank][Cols]: lora_A, of an embedding lora_embedding_B turned.
func (m *Module) Right(k int) []float32 {
	at := k * m.stride()
	return m.factors()[at : at+m.Cols]
}

// factors decodes the right factor when it is first wanted.
func (m *Module) factors() []float32 {
	m.decode.Do(func() {
		m.factor = make([]float32, m.Rank*m.stride())
		if !m.rightTurned {
			for k := range m.Rank {
				mustRow(m.right.Row(m.factor[k*m.stride():][:m.Cols], k))
			}
			return
		}
		row := make([]float32, m.Rank)
		for c := range m.Cols {
			mustRow(m.right.Row(row, c))
			for k, v := range row {
				m.factor[k*m.stride()+c] = v
			}
		}
	})
	return m.factor
}

// mustRow panics on an error that cannot be: Open decoded every row.
func mustRow(err error) {
	if err != nil {
		panic(err)
	}
}

// Left decodes row r of the factor that faces the output, shape [Rows][Rank]: lora_B, of an embedding lora_embedding_A turned.
func (m *Module) Left(dst []float32, r int) error {
	if !m.leftTurned {
		return m.left.Row(dst[:m.Rank], r)
	}
	one := m.left // a column: each of its elements is seen as a row of one
	size, err := m.left.Type.RowSize(1)
	if err != nil {
		return err
	}
	one.Shape = []int{1, 1}
	for k := range m.Rank {
		one.Data = m.left.Data[(k*m.Rows+r)*size:][:size]
		if err := one.Row(dst[k:k+1], 0); err != nil {
			return err
		}
	}
	return nil
}

// addDelta adds scale·Left·Right's row r to dst, of stride() elements: one chain of fused multiply-adds per element, in the
// order of the rank. left is scratch of Rank elements.
func (m *Module) addDelta(dst, left []float32, r int, scale float32) error {
	left = left[:m.Rank]
	if err := m.Left(left, r); err != nil {
		return err
	}
	for k := range left {
		left[k] *= scale
	}
	kernel.AxpyF32(dst, len(dst), left, m.Rank, m.factors(), nil)
	return nil
}

// Gains computes DoRA's factor of each row from lo on, len(out) of them: magnitude / |row of base + change|. base decodes a row
// of the base's weights. The module must be Scaled.
func (m *Module) Gains(out []float32, lo int, base func(dst []float32, r int)) error {
	row, sum, left := make([]float32, m.Cols), make([]float32, m.stride()), make([]float32, m.Rank)
	for i := range out {
		clear(sum)
		if err := m.addDelta(sum, left, lo+i, m.Scale); err != nil {
			return err
		}
		base(row, lo+i)
		for k, w := range row {
			sum[k] += w
		}
		var err error
		if out[i], err = m.gain(lo+i, sum[:m.Cols]); err != nil {
			return err
		}
	}
	return nil
}

// gain is DoRA's factor of row r, whose base plus change is w: magnitude / |w|.
func (m *Module) gain(r int, w []float32) (float32, error) {
	norm := math.Sqrt(sumSquares(w))
	g := float32(float64(m.magnitude[r]) / norm)
	if g-g != 0 {
		return 0, fmt.Errorf("%s, row %d: DoRA scales it by %g/%g; the adapter was made for another model, or is broken", m.Name, r, m.magnitude[r], norm)
	}
	return g, nil
}

// sumSquares adds in float64, one element after the other.
func sumSquares(x []float32) (s float64) {
	for _, v := range x {
		s += float64(v) * float64(v) // exact products of two float32s: fusing changes nothing
	}
	return s
}
