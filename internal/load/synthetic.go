package load

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// SyntheticFormat is the format of a checkpoint that Synthetic made.
const SyntheticFormat checkpoint.Format = "synthetic"

// Shapes names the models that Synthetic makes: the three Gemma 2 (arXiv:2408.00118, table 1), and one for tests.
func Shapes() []string { return []string{"tiny", "2b", "9b", "27b"} }

// SyntheticConfig is the shape of that name.
func SyntheticConfig(shape string) (arch.Config, error) {
	c := arch.Defaults() // the 2B
	switch shape {
	case "2b":
	case "9b":
		c.HiddenSize, c.IntermediateSize, c.NumLayers, c.NumHeads, c.NumKVHeads = 3584, 14336, 42, 16, 8
	case "27b":
		c.HiddenSize, c.IntermediateSize, c.NumLayers, c.NumHeads, c.NumKVHeads = 4608, 36864, 46, 32, 16
		c.HeadDim, c.QueryPreAttnScalar = 128, 144
	case "tiny":
		c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumLayers, c.NumHeads, c.NumKVHeads = 8192, 512, 2048, 4, 4, 2
		c.HeadDim, c.QueryPreAttnScalar = 128, 128
	default:
		return c, fmt.Errorf("synthetic model: want one of %v, found %q", Shapes(), shape)
	}
	c.AlternateLayers()
	return c, nil
}

// Part is one parameter of a model: its name in GGUF and its size. A norm has no columns.
type Part struct {
	Name       string
	Rows, Cols int
}

// Parts lists all parameters of a tied model, the embedding first.
func Parts(c *arch.Config) []Part {
	q, kv := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	list := []Part{{"token_embd.weight", c.VocabSize, c.HiddenSize}, {"output_norm.weight", c.HiddenSize, 0}}
	for l := range c.NumLayers {
		for _, p := range []Part{
			{"attn_norm", c.HiddenSize, 0}, {"attn_q", q, c.HiddenSize}, {"attn_k", kv, c.HiddenSize}, {"attn_v", kv, c.HiddenSize},
			{"attn_output", c.HiddenSize, q}, {"post_attention_norm", c.HiddenSize, 0}, {"ffn_norm", c.HiddenSize, 0},
			{"ffn_gate", c.IntermediateSize, c.HiddenSize}, {"ffn_up", c.IntermediateSize, c.HiddenSize},
			{"ffn_down", c.HiddenSize, c.IntermediateSize}, {"post_ffw_norm", c.HiddenSize, 0},
		} {
			list = append(list, Part{fmt.Sprintf("blk.%d.%s.weight", l, p.Name), p.Rows, p.Cols})
		}
	}
	return list
}

// Synthetic makes a model with random weights of a true shape in memory, for measuring speed: nothing sensible comes of it.
//
// A weight is an int8 in [-127, 127] times a power of two that depends on the number of columns, so it is exact in every float
// type and in plain W8C (all others round it), and it is a pure function of the seed, the tensor's name, the row and the column: SyntheticRow gives
// the same weights to whoever writes them to a file. Weights are bell-shaped, as trained ones are: some kernels gain from few of them being near the largest. Norms are all 1. Who closes the checkpoint frees the blocks then.
func Synthetic(shape string, spec quant.Spec, seed uint64, crew *parallel.Crew) (ck *checkpoint.Checkpoint, blocks []*offheap.Block, err error) {
	c, err := SyntheticConfig(shape)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			for _, b := range blocks {
				_ = b.Free() // our own memory: cannot fail
			}
			ck, blocks = nil, nil
		}
	}()
	ck = &checkpoint.Checkpoint{
		Format: SyntheticFormat, Path: "synthetic " + shape, Config: c, HasConfig: true, NormPlusOne: true,
		Tensors: map[string]checkpoint.Tensor{}, Matrices: map[string]quant.Matrix{},
		Notes: []string{"weights are random: a measure of speed, not of sense"},
	}
	norm := slices.Repeat(binary.LittleEndian.AppendUint32(nil, math.Float32bits(1)), c.HiddenSize)
	for _, p := range Parts(&c) {
		if p.Cols == 0 {
			ck.Tensors[p.Name] = checkpoint.Tensor{Name: p.Name, Type: gguf.F32, Shape: []int{p.Rows}, Data: norm}
			continue
		}
		m, block, err := spec.New(p.Rows, p.Cols)
		if err != nil {
			return ck, blocks, fmt.Errorf("synthetic %s %s: %w", shape, spec.Name(), err)
		}
		blocks = append(blocks, block)
		if err := fill(m, newSource(seed, p.Name, p.Cols), crew); err != nil {
			return ck, blocks, err
		}
		spec.Finish(m)
		ck.Matrices[p.Name] = *m
	}
	return ck, blocks, nil
}

// Own makes l free these blocks when it is closed.
func (l *Loaded) Own(blocks []*offheap.Block) { l.blocks = append(l.blocks, blocks...) }

// SyntheticRow writes one row of a synthetic matrix of that name to dst, whose length is the number of columns.
func SyntheticRow(dst []float32, seed uint64, name string, row int) {
	s := newSource(seed, name, len(dst))
	s.floats(dst, row)
}

// source gives the weights of one matrix, eight columns at a time.
type source struct {
	key   uint64 // of seed and name
	scale float32
}

// newSource makes weights whose standard deviation lies between 1/2 and 1 over the square root of cols, so that no branch grows.
func newSource(seed uint64, name string, cols int) source {
	key := seed
	for _, b := range []byte(name) {
		key = mix(key ^ uint64(b))
	}
	s := source{key: mix(key), scale: 1}
	// The variance of the mean of four bytes is a quarter of 65536/12.
	for n := 65536 / 48 * float64(cols); n > 1; n /= 4 {
		s.scale /= 2
	}
	return s
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// row is the key of a row.
func (s source) row(r int) uint64 { return mix(s.key + uint64(r)) }

// eight gives columns 8i to 8i+7 of the row with that key as int8, the first one lowest: each the mean of four uniform ones.
// Column 0 is 127, so that a row's largest magnitude is known; -128 becomes -127.
func eight(row uint64, i int) uint64 {
	const ones, highs, lows = 0x0101010101010101, 0x8080808080808080, 0x7f7f7f7f7f7f7f7f
	at := row + 4*uint64(i)
	a, b, c, d := mix(at), mix(at+1), mix(at+2), mix(at+3)
	a, b = a&b+(a^b)>>1&lows, c&d+(c^d)>>1&lows     // means of unsigned bytes, rounded down
	x := (a | b - (a^b)>>1&lows) ^ highs            // and up; signed
	y := x ^ highs                                  // 0 where x is -128
	x |= ^((y&lows + lows) | y) & highs >> 7 & ones // exact for each byte: no carry leaves it
	if i == 0 {
		x = x&^0xff | 127
	}
	return x
}

// floats writes a row as float32.
func (s source) floats(dst []float32, row int) {
	key := s.row(row)
	for k := 0; k < len(dst); k += 8 {
		x := eight(key, k/8)
		for j := range min(8, len(dst)-k) {
			dst[k+j] = float32(int8(x>>(8*j))) * s.scale
		}
	}
}

// fill makes a whole matrix, a strip at a time.
func fill(m *quant.Matrix, s source, crew *parallel.Crew) error {
	if m.Spec() == (quant.Spec{Layout: quant.W8C}) && m.Cols%8 == 0 {
		return crew.Run(m.Strips(), 1, func(_, lo, hi int) {
			for strip := lo; strip < hi; strip++ {
				fillW8C(m, s, strip)
			}
		})
	}
	buffers := make([]float32, crew.Workers()*m.Cols)
	return crew.Run(m.Rows, quant.StripRows, func(worker, lo, hi int) {
		row := buffers[worker*m.Cols : (worker+1)*m.Cols]
		for r := lo; r < hi; r++ {
			s.floats(row, r)
			m.PackRow(r, row)
		}
	})
}

// fillW8C writes a strip's tiles directly: what PackRow would make of the same row, twenty times as fast.
func fillW8C(m *quant.Matrix, s source, strip int) {
	var keys [quant.StripRows]uint64
	var sums [quant.StripRows]int32
	first := strip * quant.StripRows
	rows := min(quant.StripRows, m.Rows-first)
	for r := range rows {
		keys[r] = s.row(first + r)
	}
	data := m.Strip(strip)
	for i := range m.Cols / 8 {
		tiles := data[128*i : 128*i+128]
		for r, key := range keys[:rows] {
			x := eight(key, i)
			binary.LittleEndian.PutUint32(tiles[4*r:], uint32(x))
			binary.LittleEndian.PutUint32(tiles[64+4*r:], uint32(x>>32))
			sums[r] += sum8(x)
		}
	}
	for r := range rows {
		m.Scale[first+r], m.RowSum[first+r] = s.scale, sums[r]
	}
}

// sum8 adds eight int8.
func sum8(x uint64) int32 {
	const evens = 0x00ff00ff00ff00ff
	x ^= 0x8080808080808080 // each byte + 128, unsigned
	x = x&evens + x>>8&evens
	return int32(x*0x0001000100010001>>48) - 8*128
}
