package sampler

import "github.com/systemgemma/systemgemma/internal/decode/watermark"

// Params are the options of one generation. The zero value decodes greedily with everything else off.
type Params struct {
	// Rules decide details in which systems differ, and the default order. Empty means Llama.
	Rules Rules
	// Order names the samplers in the order in which they run, instead of the rules' own. It must name every one that is on.
	// Rules about tokens (biases, bans, forced tokens) always come before, the watermark after them.
	Order []string

	// Temperature divides the scores. 0 is greedy: the best token after biases, bans and penalties, the one of lowest id among
	// equals; the samplers that only drop candidates, and Seed, then change nothing. Otherwise 1e-6 to 100.
	Temperature float64
	// DynatempRange makes the temperature depend on the entropy of the candidates: Temperature minus this (at least 0) where one
	// token is certain, plus this where all are equally likely. 0 is off; at most 100. DynatempExponent bends the way between.
	DynatempRange    float64
	DynatempExponent float64 // 0 means 1; at most 10
	// TopK keeps the k best tokens; by transformers' rules also all that equal the k-th. 0 is off.
	TopK int
	// TopP keeps the fewest best tokens whose probabilities sum to at least this. 0 and 1 are off; otherwise between them.
	TopP float64
	// MinP keeps tokens whose probability is at least this times the largest one. 0 is off; at most 1.
	MinP float64
	// TypicalP keeps the tokens whose surprise is nearest the expected one, until their probabilities sum to this. 0 and 1 are off.
	TypicalP float64
	// EpsilonCutoff keeps tokens of at least this probability. 0 is off; below 1.
	EpsilonCutoff float64
	// EtaCutoff is EpsilonCutoff lowered where many tokens are possible: min(eta, sqrt(eta) e^-entropy). 0 is off; below 1.
	EtaCutoff float64
	// TopH keeps the best of the 100 best tokens whose entropy stays within this share of that of the 100. 0 is off; at most 1.
	TopH float64
	// TopNSigma keeps logits within this many standard deviations of the best. 0 is off; at most 1000.
	TopNSigma float64
	// XTCProbability is how often, of the tokens with at least the probability XTCThreshold, only the least likely stays.
	// 0 is off; at most 1. A threshold above 0.5 changes nothing.
	XTCProbability, XTCThreshold float64
	// MinKeep is the least number of tokens that these leave. 0 means 1.
	MinKeep int
	// Mirostat, 1 or 2, keeps the surprise of the answer's tokens near MirostatTau bits, in place of the samplers that drop
	// candidates. 0 is off.
	Mirostat    int
	MirostatTau float64 // 0 means 5; at most 100
	MirostatEta float64 // how fast it adapts: 0 means 0.1; at most 1

	// RepetitionPenalty divides positive scores and multiplies others, once for each token of the window, however often
	// it stands there. 0 and 1 are off; otherwise 0.01 to 100.
	RepetitionPenalty float64
	// PresencePenalty is subtracted from the score of each token of the window. 0 is off; -100 to 100.
	PresencePenalty float64
	// FrequencyPenalty times the token's count in the window is subtracted from its score. 0 is off; -100 to 100.
	FrequencyPenalty float64
	// PenaltyWindow is how many tokens, prompt and answer, the three penalties look back. 0 means all.
	PenaltyWindow int
	// EncoderRepetitionPenalty multiplies positive scores of the prompt's tokens and divides others: above 1 keeps the answer
	// near the prompt. 0 and 1 are off; otherwise 0.01 to 100.
	EncoderRepetitionPenalty float64
	// NoRepeatNgram bans tokens that would repeat this many tokens in a row that stood in prompt or answer before. 0 is off.
	NoRepeatNgram int
	// DRYMultiplier times DRYBase^(n - DRYAllowedLength) is subtracted from the score of a token that would go on with a
	// repetition of n tokens, n at least DRYAllowedLength. 0 is off; at most 100.
	DRYMultiplier    float64
	DRYBase          float64   // 0 means 1.75; 1 to 100
	DRYAllowedLength int       // 0 means 2
	DRYWindow        int       // tokens looked back; 0 means all
	DRYBreakers      *Breakers // what repetitions end at; nil: nothing

	// Guided steers away from what the model says after another prompt (Sampler.Against): scores become log-probabilities l, and then
	// u + GuidanceScale (l - u), u being the other ones. It comes before all else.
	Guided        bool
	GuidanceScale float64 // -100 to 100: 1 changes nothing, 0 follows the other prompt alone

	// Biases are added to the score of the last token of a sequence whenever the tokens before it were the last ones.
	Biases []Bias
	// BadWords are sequences whose last token is banned after the others. One that is a single token of EOS is ignored.
	BadWords [][]int32
	// Suppress are tokens that are banned always, BeginSuppress those that the answer may not begin with.
	Suppress, BeginSuppress []int32
	// ForcedBOS follows a prompt of one token. 0 is off.
	ForcedBOS int32
	// ForcedEOS are the only tokens that may be the last one, the MaxTokens-th.
	ForcedEOS []int32
	// EOS are the tokens that end the answer. They are banned until it has MinTokens.
	EOS                  []int32
	MinTokens, MaxTokens int // 0 is off
	// DecayFactor^n - 1 times the absolute value of their score is added to those of EOS n tokens after DecayStart tokens of
	// the answer. 0 and 1 are off; otherwise 0.01 to 100.
	DecayFactor float64
	DecayStart  int
	// Processors change scores after all other rules about tokens, in this order.
	Processors []Processor

	// Watermark marks what is drawn. nil is off.
	Watermark *watermark.Config

	// Seed chooses the random numbers. Same seed, same logits, same tokens accepted: same choice, on every machine.
	Seed uint64

	// TopLogprobs is how many of the model's best tokens Taken tells with each token, by their log-probability. 0: none.
	TopLogprobs int
	// Explain is how many of the best candidates Taken tells after each step. 0: steps are not told.
	Explain int
}

// Bias is what a sequence of tokens is preferred or avoided by.
type Bias struct {
	IDs []int32 // one or more
	Add float64 // to the score of the last one; -Inf bans it
}

// A Processor is a rule of the caller's own. It changes scores, one for each token of the vocabulary, knowing the tokens so
// far, prompt and answer; -Inf bans a token. It must depend on nothing else, since it may be asked twice or in advance about
// tokens that are then guessed wrong, and keep neither slice.
type Processor interface {
	Process(tokens []int32, scores []float32)
}

// Rules name a set of details in which systems differ.
type Rules string

const (
	// Llama is as llama.cpp does: exactly TopK tokens, temperature last.
	Llama Rules = "llama"
	// Transformers is as Hugging Face transformers does: equals of the last of TopK and TypicalP stay, temperature first.
	Transformers Rules = "transformers"
)
