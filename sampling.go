package systemgemma

import (
	"math/rand/v2"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// Sampling says how tokens are chosen. Its zero value is greedy: always the most likely token. Steps apply in the order
// penalties, temperature, TopK, TopP, MinP, with the meaning they have in Hugging Face transformers.
type Sampling struct {
	// Temperature divides the logits. 0 is greedy: TopK, TopP, MinP and Seed then change nothing. Otherwise 1e-6 to 100.
	Temperature float64
	// TopK keeps the k best tokens and all that equal the k-th. 0 is off.
	TopK int
	// TopP keeps the fewest best tokens whose probabilities sum to at least this. 0 and 1 are off.
	TopP float64
	// MinP keeps tokens whose probability is at least this times the largest one. 0 is off; at most 1.
	MinP float64
	// MinKeep is the least number of tokens that TopP and MinP leave. 0 means 1.
	MinKeep int
	// RepetitionPenalty divides positive logits and multiplies others, once for each token of the window. 0 and 1 are off.
	RepetitionPenalty float64
	// PresencePenalty is subtracted from the logit of each token of the window. 0 is off; -100 to 100.
	PresencePenalty float64
	// FrequencyPenalty times the token's count in the window is subtracted from its logit. 0 is off; -100 to 100.
	FrequencyPenalty float64
	// PenaltyWindow is how many tokens, prompt and answer, the penalties look back. 0 means all.
	PenaltyWindow int
	// Seed chooses the random numbers: the same seed gives the same answer on every machine. 0 draws a seed, which
	// Result.Seed tells.
	Seed uint64
}

// Validate reports the first option that is out of range: what was expected and what was found.
func (s Sampling) Validate() error { return sampler.Params(s).Validate() }

// withSeed returns s with a seed drawn when it has none.
func (s Sampling) withSeed() Sampling {
	for s.Seed == 0 {
		s.Seed = rand.Uint64() >> 1 // fits into every JSON reader's int64
	}
	return s
}
