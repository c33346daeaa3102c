package gemma2

import "github.com/systemgemma/systemgemma/internal/compute/portable"

// inverseFrequencies returns theta^(-2j/dim) for j < dim/2 with the reference's roundings: exponent, power and reciprocal
// are float32 each.
func inverseFrequencies(theta float64, dim int) []float32 {
	f := make([]float32, dim/2)
	for j := range f {
		e := float32(2*j) / float32(dim)
		f[j] = 1 / float32(portable.Pow(float64(float32(theta)), float64(e)))
	}
	return f
}

// angles writes cosine and sine of pos * freq[j], the product rounded to float32 as the reference's is.
func angles(cos, sin, freq []float32, pos int) {
	for j, f := range freq {
		s, c := portable.SinCos(float64(float32(pos) * f))
		cos[j], sin[j] = float32(c), float32(s)
	}
}
