// Package option turns the fields of a request, by the names that any dialect gives them, into what the library is asked for.
//
// It owns three classes. A field that changes the answer is honoured, or refused by its name. A hint, which changes none, is
// accepted and reported in Answer.Ignored. Anything else is unknown: the request goes on, and Fields.Rest tells the names, so that
// they are counted. Values are checked here: what was expected, what was found.
//
// It must not know endpoints, nor what a dialect's own fields (messages, logprobs, tools) look like: dialects take those from
// Fields first.
package option

import (
	"math"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Limits bound what requests may ask for.
type Limits struct {
	N       int // answers to one prompt
	Beams   int // of a beam search; below 2: there is none
	Context int // tokens of the model
}

// Dialect is what the same names mean differently.
type Dialect struct {
	// PenaltyWindow is how many tokens penalties look back if a request gives penalties and no repeat_last_n. 0: all.
	PenaltyWindow int
}

// The dialects. llama.cpp and Ollama look back 64 tokens.
var (
	OpenAI = Dialect{}
	Ollama = Dialect{PenaltyWindow: 64}
	Llama  = Dialect{PenaltyWindow: 64}
)

// Answer is what a request asks for.
type Answer struct {
	systemgemma.GenerateOptions // Sampling is never nil
	N                           int
	BestOf                      int                // 0: N
	Beams                       *systemgemma.Beams // nil: no beam search; Check sets its Return
	MaxTokensGiven              bool               // MaxTokens was given, perhaps as 0

	SystemMode          string
	System              *string                   // instead of the system messages; nil: as they are
	Context             systemgemma.ContextPolicy // "" if not said
	AddGenerationPrompt *bool
	ContinueFinal       *bool
	LoRA                map[int]float32 // strengths of the model's adapters by id; nil: as they are set

	drawn bool // a temperature above 0 was asked for

	// Ignored are hints that change nothing here, as they are named.
	Ignored []string
	// Warnings say what of the request has no effect, and why.
	Warnings []string
}

// Read takes all options from the members of a request, or of its object of options, which may be called several times. a is
// New's, changed. The error is a *problem.Error that names the field.
func (a *Answer) Read(f *Fields, d Dialect, limits Limits) error {
	r := reader{Fields: f, a: a, s: a.Sampling, dialect: d, limits: limits}
	for _, g := range table {
		name, err := r.only(g.names)
		if err != nil {
			return err
		}
		if name == "" {
			continue
		}
		if err := g.take(&r, name); err != nil {
			return err
		}
	}
	if err := r.formats(formatField{"structured_outputs", (*reader).structured}); err != nil {
		return err
	}
	if err := r.refuse(); err != nil {
		return err
	}
	r.window()
	r.hints()
	return nil
}

// New is an answer by a model's own sampling.
func New(defaults systemgemma.Sampling) *Answer {
	s := defaults
	s.Rules = systemgemma.RulesLlama // which the names of requests come from; sampler_rules says otherwise
	return &Answer{GenerateOptions: systemgemma.GenerateOptions{Sampling: &s}, N: 1}
}

// From is an answer by the options that count where a request says nothing; their Sampling is not nil.
func From(defaults systemgemma.GenerateOptions) *Answer {
	a := New(*defaults.Sampling)
	sampling := a.Sampling
	a.GenerateOptions = defaults
	a.Sampling = sampling
	return a
}

// Check reports what contradicts, when everything has been read.
func (a *Answer) Check() error {
	s := a.Sampling
	if a.Beams != nil {
		if err := a.checkBeams(); err != nil {
			return err
		}
	}
	if a.BestOf != 0 && a.BestOf < a.N {
		return problem.Invalid("best_of", "want at least n = %d, found %d", a.N, a.BestOf)
	}
	a.off()
	if err := s.Validate(); err != nil {
		return fromLibrary(err)
	}
	if s.Temperature == 0 && (s.TopK > 0 || s.TopP > 0 && s.TopP < 1 || s.MinP > 0) {
		a.Warnings = append(a.Warnings, "temperature is 0, so top_k, top_p and min_p change nothing")
	}
	return nil
}

// off leaves out what goes with an option that is off, and says so: programs that send all options of llama.cpp send these too, and the library
// takes no part without its whole.
func (a *Answer) off() {
	s := a.Sampling
	for _, x := range []struct {
		off, without bool
		name, rest   string
		clear        func()
	}{
		{s.DRYMultiplier == 0, s.DRYBase == 0 && s.DRYAllowedLength == 0 && s.DRYWindow == 0 && s.DRYBreakers == nil, "dry_multiplier", "the other dry_ options", func() {
			s.DRYBase, s.DRYAllowedLength, s.DRYWindow, s.DRYBreakers = 0, 0, 0, nil
		}},
		{s.DynatempRange == 0, s.DynatempExponent == 0, "dynatemp_range", "dynatemp_exponent", func() { s.DynatempExponent = 0 }},
		{s.Mirostat == 0, s.MirostatTau == 0 && s.MirostatEta == 0, "mirostat", "mirostat_tau and mirostat_eta", func() { s.MirostatTau, s.MirostatEta = 0, 0 }},
		{s.XTCProbability == 0, s.XTCThreshold == 0, "xtc_probability", "xtc_threshold", func() { s.XTCThreshold = 0 }},
	} {
		if x.off && !x.without {
			x.clear()
			a.Warnings = append(a.Warnings, x.name+" is off, so "+x.rest+" change nothing")
		}
	}
}

// fromLibrary names the field of an error as "top_p: want 0 to 1, found 2".
func fromLibrary(err error) error {
	name, _, _ := strings.Cut(err.Error(), ": ")
	if strings.ContainsFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
		name = ""
	}
	return &problem.Error{Status: 400, Param: name, Message: err.Error()}
}

// reader is one call of Read.
type reader struct {
	*Fields
	a       *Answer
	s       *systemgemma.Sampling
	dialect Dialect
	limits  Limits

	penalty, windowGiven bool // a penalty, a window was given
}

// only is the one of some names for the same that is given; "": none is.
func (r *reader) only(names []string) (given string, err error) {
	for _, n := range names {
		if !r.Has(n) {
			continue
		}
		if given != "" && string(r.raw[given]) != string(r.raw[n]) {
			return "", r.Invalid(n, "want one name for it, found %s beside it", given)
		}
		given = n
	}
	for _, n := range names {
		if n != given {
			r.Raw(n) // null, or the same again
		}
	}
	return given, nil
}

// window applies the dialect's window to penalties that were given without one.
func (r *reader) window() {
	if r.penalty && !r.windowGiven {
		r.s.PenaltyWindow = r.dialect.PenaltyWindow
	}
}

// hintNames are accepted and change nothing here.
var hintNames = []string{
	"num_gpu", "main_gpu", "num_thread", "num_batch", "num_gqa", "numa", "low_vram", "f16_kv", "use_mmap", "use_mlock", "vocab_only", "logits_all", "embedding_only",
	"user", "metadata", "store", "service_tier", "reasoning_effort", "reasoning", "parallel_tool_calls", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "verbosity",
	"cache_prompt", "id_slot", "slot_id", "n_cache_reuse", "n_keep", "num_keep", "n_discard", "use_cache", "cache_implementation", "max_matching_ngram_size",
	"num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold", "draft_num_predict", "speculative.n_max", "speculative.n_min", "speculative.p_min", "speculative.types", "num_ctx", "n_ctx", "priority",
}

// hints takes what changes nothing. think: false is one, and true is refused before.
func (r *reader) hints() {
	for _, n := range hintNames {
		if raw, found := r.Raw(n); found && !slices.Contains(r.a.Ignored, n) {
			r.a.Ignored = append(r.a.Ignored, n)
			if n == "num_ctx" || n == "n_ctx" {
				r.contextHint(n, string(raw))
			}
		}
	}
}

// contextHint says what the context is, whatever was asked for: another length would mean to load the model again.
func (r *reader) contextHint(name, asked string) {
	if r.limits.Context > 0 {
		r.a.Warnings = append(r.a.Warnings, r.Name(name)+" "+excerpt([]byte(asked))+": the context is what the server was started with")
	}
}

const maxInt = math.MaxInt32 // of counts of tokens
