package systemgemma

import (
	"cmp"
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/engine"
)

// openLadder is a synthetic model of the shape that SYSTEMGEMMA_BENCH_SHAPE names, 2b for figures that mean something; tiny without.
func openLadder(b *testing.B) *Model {
	b.Helper()
	m, err := OpenSynthetic(cmp.Or(os.Getenv("SYSTEMGEMMA_BENCH_SHAPE"), "tiny"), "w8a8", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close() })
	return m
}

// rate runs f for each loop and reports how many tokens a second it makes.
func rate(b *testing.B, tokens int, f func()) {
	b.Helper()
	for b.Loop() {
		f()
	}
	b.ReportMetric(float64(tokens*b.N)/b.Elapsed().Seconds(), "tok/s")
}

// prompts are random tokens, which no earlier prompt began with.
func (b *bench) prompts(n, turn int) []int32 {
	p := slices.Clone(b.tokens[:n])
	p[0] = int32(turn % b.m.weights.Config.VocabSize)
	return p
}

// BenchmarkLadder generates 16 tokens after 64 in ever better ways: computing all tokens again for each new one; with a cache; through the
// scheduler; and an answer that repeats its prompt, as an edit does, without guesses and with them. SYSTEMGEMMA_KERNEL=reference
// tells what the kernels bring.
func BenchmarkLadder(b *testing.B) {
	const prompt, answer, text = 64, 16, 128 // text: of the edit
	m := openLadder(b)
	x, err := m.newBench(context.Background(), m.crew.Workers(), &BenchOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer x.close()
	fail := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("naive", func(b *testing.B) {
		rate(b, answer, func() {
			for i := range answer {
				x.cache.Free()
				fail(x.forward(x.tokens[:prompt+i], true))
			}
		})
	})
	b.Run("cache", func(b *testing.B) {
		fail(x.seek(prompt))
		rate(b, answer, func() {
			fail(x.seek(prompt))
			fail(x.decode(answer))
		})
	})
	turn := 0
	run := func(b *testing.B, prompt, n int, o GenerateOptions) {
		o.MaxTokens, o.IgnoreEOS = n, true
		var decode time.Duration
		drafted, accepted := 0, 0
		for b.Loop() {
			turn++
			for e, err := range m.Generate(context.Background(), Prompt{IDs: x.prompts(prompt, turn)}, &o) {
				fail(err)
				if e.Result != nil {
					decode += e.Result.Decode
					drafted, accepted = drafted+e.Result.DraftedTokens, accepted+e.Result.AcceptedTokens
				}
			}
		}
		b.ReportMetric(float64((n-1)*b.N)/decode.Seconds(), "tok/s")
		if drafted > 0 {
			b.ReportMetric(100*float64(accepted)/float64(drafted), "%right")
		}
	}
	b.Run("scheduler", func(b *testing.B) { run(b, prompt, answer+1, GenerateOptions{}) })
	for _, lookup := range []bool{false, true} {
		name := "edit"
		if lookup {
			name += "+lookup"
		}
		b.Run(name, func(b *testing.B) {
			run(b, text, text/2, GenerateOptions{Lookup: lookup, Sampling: &Sampling{Processors: []LogitsProcessor{echo(text)}}})
		})
	}
}

// wrong guesses tokens that never come.
type wrong struct{ vocab int32 }

func (w wrong) Draft(dst, ids []int32, n int) []int32 {
	for range n {
		dst = append(dst, (ids[len(ids)-1]+1)%w.vocab)
	}
	return dst
}

// BenchmarkWrongGuesses is what guessing costs where no guess is ever right: answers of 64 tokens with and without it in turns. Their tokens are all
// one, so that the next guess can be wrong for sure.
func BenchmarkWrongGuesses(b *testing.B) {
	m := openLadder(b)
	answer := func(d engine.Drafter) time.Duration {
		s, err := sampler.New(sampler.Params{Biases: []sampler.Bias{{IDs: []int32{7}, Add: 1000}}})
		if err != nil {
			b.Fatal(err)
		}
		_, st, err := m.engine.Generate(context.Background(), engine.Request{Prompt: []int32{2, 3, 7}, Sampler: s, MaxTokens: 65, Drafter: d}, func(engine.Token) bool { return true })
		if err != nil || st.AcceptedTokens > 0 {
			b.Fatal(err, st)
		}
		return st.Decode
	}
	var plain, guessed time.Duration
	for b.Loop() {
		plain += answer(nil)
		guessed += answer(wrong{int32(m.weights.Config.VocabSize)})
	}
	b.ReportMetric(100*(float64(guessed)/float64(plain)-1), "%cost")
}

// echo makes the answer to a prompt of n tokens repeat the prompt, but for every 24th token.
type echo int

func (n echo) Process(tokens []int32, scores []float32) {
	i := len(tokens) - int(n)
	next := tokens[1+i%int(n-1)]
	if i%24 == 23 {
		next = (next + 1) % int32(len(scores))
	}
	scores[next] = 1000
}

// BenchmarkTTFT is the time to the first token after a system prompt of 1,000 tokens and a question of 16, known before and not.
func BenchmarkTTFT(b *testing.B) {
	m := openLadder(b)
	x, err := m.newBench(context.Background(), m.crew.Workers(), &BenchOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer x.close()
	turn := 0
	for _, known := range []bool{false, true} {
		name := "uncached"
		if known {
			name = "cached"
		}
		b.Run(name, func(b *testing.B) {
			var ttft time.Duration
			ask := func() {
				turn++
				p := x.prompts(1016, turn)
				if known {
					p[0], p[1010] = 0, int32(turn) // the question is another one each time
				}
				for e, err := range m.Generate(context.Background(), Prompt{IDs: p}, &GenerateOptions{MaxTokens: 1}) {
					if err != nil {
						b.Fatal(err)
					}
					if e.Result != nil {
						ttft += e.Result.TTFT
					}
				}
			}
			if known {
				ask()
				ttft = 0
			}
			for b.Loop() {
				ask()
			}
			b.ReportMetric(ttft.Seconds()/float64(b.N)*1e3, "ms/first")
		})
	}
}
