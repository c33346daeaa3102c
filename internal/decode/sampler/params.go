package sampler

import "fmt"

// Params are the options of one generation. The zero value decodes greedily with everything else off.
type Params struct {
	// Temperature divides the scores. 0 is greedy: the best token after the penalties, the one of lowest id among
	// equals; TopK, TopP, MinP and Seed then change nothing. Otherwise 1e-6 to 100.
	Temperature float64
	// TopK keeps the k best tokens and all that equal the k-th. 0 is off.
	TopK int
	// TopP keeps the fewest best tokens whose probabilities sum to at least this. 0 and 1 are off; otherwise between them.
	TopP float64
	// MinP keeps tokens whose probability is at least this times the largest one. 0 is off; at most 1.
	MinP float64
	// MinKeep is the least number of tokens that TopP and MinP leave. 0 means 1.
	MinKeep int

	// RepetitionPenalty divides positive scores and multiplies others, once for each token of the window, however often
	// it stands there. 0 and 1 are off; otherwise 0.01 to 100.
	RepetitionPenalty float64
	// PresencePenalty is subtracted from the score of each token of the window. 0 is off; -100 to 100.
	PresencePenalty float64
	// FrequencyPenalty times the token's count in the window is subtracted from its score. 0 is off; -100 to 100.
	FrequencyPenalty float64
	// PenaltyWindow is how many tokens, prompt and answer, the three penalties look back. 0 means all.
	PenaltyWindow int

	// Seed chooses the random numbers. Same seed, same logits, same tokens accepted: same choice, on every machine.
	Seed uint64
}

// An OptionError names an option whose value can't be honoured.
type OptionError struct {
	Option string // as written in requests, for example "top_p"
	Want   string // what would do
	Found  any    // the value given
}

// Error is "option: want ..., found ...".
func (e *OptionError) Error() string {
	return fmt.Sprintf("%s: want %s, found %v", e.Option, e.Want, e.Found)
}

// Validate returns an *OptionError for the first option that is out of range, NaN included.
func (p Params) Validate() error {
	between := func(x, low, high float64) bool { return low <= x && x <= high } // false for NaN
	switch {
	case p.Temperature != 0 && !between(p.Temperature, minTemperature, 100):
		return &OptionError{"temperature", "0 (greedy) or 1e-6 to 100", p.Temperature}
	case p.TopK < 0:
		return &OptionError{"top_k", "0 (off) or more", p.TopK}
	case !between(p.TopP, 0, 1):
		return &OptionError{"top_p", "0 (off) to 1", p.TopP}
	case !between(p.MinP, 0, 1):
		return &OptionError{"min_p", "0 (off) to 1", p.MinP}
	case p.MinKeep < 0:
		return &OptionError{"min_keep", "0 (meaning 1) or more", p.MinKeep}
	case p.RepetitionPenalty != 0 && !between(p.RepetitionPenalty, 0.01, 100):
		return &OptionError{"repetition_penalty", "0 (off) or 0.01 to 100", p.RepetitionPenalty}
	case !between(p.PresencePenalty, -100, 100):
		return &OptionError{"presence_penalty", "-100 to 100", p.PresencePenalty}
	case !between(p.FrequencyPenalty, -100, 100):
		return &OptionError{"frequency_penalty", "-100 to 100", p.FrequencyPenalty}
	case p.PenaltyWindow < 0:
		return &OptionError{"penalty_window", "0 (all tokens) or more", p.PenaltyWindow}
	}
	return nil
}

// minTemperature keeps score/temperature finite for every score up to 3.4e32; candidate.change takes care of those above.
const minTemperature = 1e-6

// hasPenalties says whether the tokens so far matter.
func (p Params) hasPenalties() bool {
	return p.RepetitionPenalty != 0 && p.RepetitionPenalty != 1 || p.PresencePenalty != 0 || p.FrequencyPenalty != 0
}
