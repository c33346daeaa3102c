package checkpoint

import (
	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

func ptr[T any](v T) *T { return &v }

// tinyConfig is a model of two layers whose sizes all need padding.
func tinyConfig() arch.Config {
	return arch.Config{
		VocabSize: 19, HiddenSize: 10, IntermediateSize: 7, NumLayers: 2, NumHeads: 2, NumKVHeads: 1, HeadDim: 6,
		QueryPreAttnScalar: 1.0 / 3, AttnSoftcap: 0, FinalSoftcap: 30, SlidingWindow: 5, Global: []bool{true, false},
		RopeTheta: 10000.1, RMSNormEps: 1e-5, MaxPositions: 77, TieEmbeddings: true,
	}
}

// matrix is a whole matrix whose weights and scales are told apart by seed.
func matrix(l quant.Layout, rows, cols, seed int) *quant.Matrix {
	m := &quant.Matrix{Layout: l, Rows: rows, Cols: cols, Data: make([]byte, quant.DataSize(l, rows, cols))}
	for i := range m.Data {
		m.Data[i] = byte(i*7 + seed)
	}
	if l == quant.W8C {
		m.Scale, m.RowSum = make([]float32, quant.PaddedRows(rows)), make([]int32, quant.PaddedRows(rows))
		for r := range m.Scale {
			m.Scale[r], m.RowSum[r] = float32(r+seed)/128, int32(r-seed)
		}
	}
	return m
}

// pieces cuts m into pieces of at most n rows, a multiple of 16.
func pieces(m *quant.Matrix, n int) func(emit func(*quant.Matrix) error) error {
	return func(emit func(*quant.Matrix) error) error {
		for r := 0; r < m.Rows; r += n {
			p := &quant.Matrix{Layout: m.Layout, Rows: min(n, m.Rows-r), Cols: m.Cols}
			at := quant.DataSize(m.Layout, r, m.Cols)
			p.Data = m.Data[at : at+quant.DataSize(m.Layout, p.Rows, m.Cols)]
			if m.Layout == quant.W8C {
				p.Scale, p.RowSum = m.Scale[r:r+quant.PaddedRows(p.Rows)], m.RowSum[r:r+quant.PaddedRows(p.Rows)]
			}
			if err := emit(p); err != nil {
				return err
			}
		}
		return nil
	}
}

// tiny is a Model with every field set, and its matrices. layoutOf picks the layout of matrix number i.
func tiny(cfg arch.Config, layoutOf func(i int) quant.Layout) (*Model, map[string]*quant.Matrix) {
	m := &Model{
		Name: "tiny", Config: cfg, Norms: map[string][]float32{}, Matrices: map[string]MatrixSource{},
		Vocab: &tokenizer.Vocab{
			Pieces: []tokenizer.Piece{{Text: "<pad>", Type: tokenizer.Control}, {Text: "<eos>", Type: tokenizer.Control}, {Text: "▁a", Score: -1.5, Type: tokenizer.Normal}},
			BOS:    -1, EOS: 1, PAD: 0, UNK: -1, EndOfTurn: 2, Control: tokenizer.ControlByType,
		},
		ChatTemplate: "{{ x }}", SystemMode: "merge", EOS: []int32{1, 2, 9},
		Generation: Generation{DoSample: ptr(true), Temperature: ptr[float32](0.7), TopK: ptr(64), TopP: ptr[float32](0.95),
			MinP: ptr[float32](0.05), RepetitionPenalty: ptr[float32](1.1), MaxNewTokens: ptr(512),
			NoRepeatNgram: ptr(3), Rules: GenerationRules{Suppress: []int32{2}, Stop: []string{"END"}}},
		Provenance: map[string]string{"base": "a/b", "revision": "main", "options": "w8a8"},
	}
	whole := map[string]*quant.Matrix{}
	for i, s := range ownSpecs(&cfg) {
		if len(s.shape) == 1 {
			for k := range s.shape[0] {
				m.Norms[s.name] = append(m.Norms[s.name], float32(i)+float32(k)/16)
			}
			continue
		}
		whole[s.name] = matrix(layoutOf(i), s.shape[0], s.shape[1], i)
		m.Matrices[s.name] = MatrixSource{Spec: quant.Spec{Layout: whole[s.name].Layout}, Pack: pieces(whole[s.name], 16)}
	}
	return m, whole
}

// mixed gives neighbours different layouts.
func mixed(i int) quant.Layout {
	return []quant.Layout{quant.W8C, quant.F32, quant.BF16, quant.F16}[i%4]
}
