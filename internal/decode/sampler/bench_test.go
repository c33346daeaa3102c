package sampler

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/systemgemma/systemgemma/internal/decode/watermark"
)

// gemmaVocabulary is Gemma 2's number of tokens.
const gemmaVocabulary = 256_000

// someLogits looks like a model's: most far below a few, all inside the soft cap of 30.
func someLogits(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, n)
	for i := range logits {
		logits[i] = float32(r.NormFloat64()*3 - 8)
	}
	for range min(n, 40) {
		logits[r.IntN(n)] = float32(10 + r.Float64()*10)
	}
	return logits
}

// benchParams are what people use, and the worst case.
var benchParams = []struct {
	name string
	p    Params
}{
	{"greedy", Params{}},
	{"penalty", Params{RepetitionPenalty: 1.1}},
	{"temperature", Params{Temperature: 0.8}},
	{"topk40", Params{Temperature: 0.8, TopK: 40}},
	{"topk5000", Params{Temperature: 0.8, TopK: 5000}},
	{"topp", Params{Temperature: 0.8, TopP: 0.95}},
	{"minp", Params{Temperature: 0.8, MinP: 0.05}},
	{"toppflat", Params{Temperature: 100, TopP: 0.95}}, // the worst case: most tokens are kept
	{"typical", Params{Temperature: 0.8, TypicalP: 0.95}},
	{"eta", Params{Temperature: 0.8, EtaCutoff: 0.001}},
	{"toph", Params{Temperature: 0.8, TopH: 0.5}},
	{"topnsigma", Params{Temperature: 0.8, TopNSigma: 1}},
	{"xtc", Params{Temperature: 0.8, XTCProbability: 0.5, XTCThreshold: 0.1}},
	{"dynatemp", Params{Temperature: 0.8, DynatempRange: 0.5, TopK: 40}},
	{"mirostat1", Params{Temperature: 0.8, Mirostat: 1}},
	{"mirostat2", Params{Temperature: 0.8, Mirostat: 2}},
	{"dry", Params{Temperature: 0.8, TopK: 40, DRYMultiplier: 0.8}},
	{"tokens", Params{NoRepeatNgram: 3, EncoderRepetitionPenalty: 1.1, BadWords: [][]int32{{1, 2}, {3}}, Suppress: []int32{7}, EOS: []int32{1}, MinTokens: 1000, DecayFactor: 1.01}},
	{"watermark", Params{Temperature: 0.8, TopK: 40, Watermark: &watermark.Config{Keys: []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}}},
	{"all", Params{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, RepetitionPenalty: 1.1, PenaltyWindow: 64}},
}

func BenchmarkSample(b *testing.B) {
	logits := someLogits(gemmaVocabulary)
	for _, c := range benchParams {
		b.Run(fmt.Sprintf("params=%s/vocabulary=%d", c.name, len(logits)), func(b *testing.B) {
			s, err := New(c.p)
			if err != nil {
				b.Fatal(err)
			}
			for i := range int32(100) {
				s.Accept(i * 7)
			}
			b.ReportAllocs()
			for b.Loop() {
				id, _, err := s.Sample(logits)
				if err != nil {
					b.Fatal(err)
				}
				s.Accept(id)
			}
		})
	}
}

func BenchmarkLogSumExp(b *testing.B) {
	logits := someLogits(gemmaVocabulary)
	for b.Loop() {
		LogSumExp(logits)
	}
}
