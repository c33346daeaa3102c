package option

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// row is one option under all its names. take gets the name that is given.
type row struct {
	names []string
	take  func(r *reader, name string) error
}

// Bounds of what requests may hold, all checked before any work.
const (
	MaxStops    = 64
	maxStop     = 1024 // bytes
	maxBiases   = 4096
	maxWords    = 256
	maxBreakers = 64 // the library's
	maxBreaker  = 40 // bytes; the library's
	maxSamples  = 64
)

// table is every option that is honoured. Order does not matter but where the comments say so.
var table = []row{
	{[]string{"sampler_rules"}, func(r *reader, name string) error {
		text, _, err := r.Text(name)
		r.s.Rules = systemgemma.SamplingRules(text)
		return err
	}},
	{[]string{"temperature"}, number(0, 100, func(r *reader, x float64) { r.s.Temperature, r.a.drawn = x, x > 0 })},
	{[]string{"do_sample"}, func(r *reader, name string) error { // after temperature
		sample, _, err := r.Bool(name)
		switch {
		case err == nil && !sample:
			r.s.Temperature, r.a.drawn = 0, false
		case err == nil && r.s.Temperature == 0:
			r.s.Temperature, r.a.drawn = 1, true
		case err == nil:
			r.a.drawn = true
		}
		return err
	}},
	{[]string{"top_k"}, integer(-1, maxInt, func(r *reader, n int) { r.s.TopK = max(0, n) })},
	{[]string{"top_p"}, number(0, 1, func(r *reader, x float64) { r.s.TopP = x })},
	{[]string{"min_p"}, number(0, 1, func(r *reader, x float64) { r.s.MinP = x })},
	{[]string{"typical_p", "typ_p"}, number(0, 1, func(r *reader, x float64) { r.s.TypicalP = x })},
	{[]string{"epsilon_cutoff"}, number(0, 1, func(r *reader, x float64) { r.s.EpsilonCutoff = x })},
	{[]string{"eta_cutoff"}, number(0, 1, func(r *reader, x float64) { r.s.EtaCutoff = x })},
	{[]string{"top_h"}, number(0, 1, func(r *reader, x float64) { r.s.TopH = x })},
	{[]string{"top_n_sigma"}, number(-1, 1000, func(r *reader, x float64) { r.s.TopNSigma = max(0, x) })},
	{[]string{"xtc_probability"}, number(0, 1, func(r *reader, x float64) { r.s.XTCProbability = x })},
	{[]string{"xtc_threshold"}, number(0, 1, func(r *reader, x float64) { r.s.XTCThreshold = x })},
	{[]string{"min_keep"}, integer(0, maxInt, func(r *reader, n int) { r.s.MinKeep = n })},
	{[]string{"dynatemp_range"}, number(0, 100, func(r *reader, x float64) { r.s.DynatempRange = x })},
	{[]string{"dynatemp_exponent"}, number(0, 10, func(r *reader, x float64) { r.s.DynatempExponent = x })},
	{[]string{"mirostat"}, integer(0, 2, func(r *reader, n int) { r.s.Mirostat = n })},
	{[]string{"mirostat_tau"}, number(0, 100, func(r *reader, x float64) { r.s.MirostatTau = x })},
	{[]string{"mirostat_eta"}, number(0, 1, func(r *reader, x float64) { r.s.MirostatEta = x })},
	{[]string{"samplers"}, samplers},

	{[]string{"repeat_penalty", "repetition_penalty"}, number(0, 100, func(r *reader, x float64) { r.s.RepetitionPenalty, r.penalty = x, true })},
	{[]string{"presence_penalty"}, number(-100, 100, func(r *reader, x float64) { r.s.PresencePenalty, r.penalty = x, true })},
	{[]string{"frequency_penalty"}, number(-100, 100, func(r *reader, x float64) { r.s.FrequencyPenalty, r.penalty = x, true })},
	{[]string{"repeat_last_n", "penalty_window"}, integer(-1, maxInt, penaltyWindow)}, // after the penalties
	{[]string{"encoder_repetition_penalty"}, number(0, 100, func(r *reader, x float64) { r.s.EncoderRepetitionPenalty = x })},
	{[]string{"no_repeat_ngram_size"}, integer(0, maxInt, func(r *reader, n int) { r.s.NoRepeatNgram = n })},
	{[]string{"dry_multiplier"}, number(0, 100, func(r *reader, x float64) { r.s.DRYMultiplier = x })},
	{[]string{"dry_base"}, number(0, 100, func(r *reader, x float64) {
		if r.s.DRYBase = x; x < 1 {
			r.s.DRYMultiplier, r.s.DRYBase = 0, 0 // llama.cpp: off
		}
	})},
	{[]string{"dry_allowed_length"}, integer(0, maxInt, func(r *reader, n int) { r.s.DRYAllowedLength = n })},
	{[]string{"dry_penalty_last_n"}, integer(-1, maxInt, func(r *reader, n int) { // after dry_multiplier
		if r.s.DRYWindow = max(0, n); n == 0 {
			r.s.DRYMultiplier = 0
		}
	})},
	{[]string{"dry_sequence_breakers"}, func(r *reader, name string) error { // after what turns DRY off
		list, err := r.texts(name, maxBreakers, maxBreaker)
		if err == nil && r.s.DRYMultiplier != 0 {
			r.s.DRYBreakers = append([]string{}, list...)
		}
		return err
	}},

	{[]string{"logit_bias"}, logitBias},
	{[]string{"sequence_bias"}, sequenceBias},
	{[]string{"bad_words"}, func(r *reader, name string) (err error) {
		r.s.BadWords, err = r.texts(name, maxWords, maxStop)
		return err
	}},
	{[]string{"suppress_tokens"}, ids(func(r *reader, list []int32) { r.s.Suppress = list })},
	{[]string{"begin_suppress_tokens"}, ids(func(r *reader, list []int32) { r.s.BeginSuppress = list })},
	{[]string{"forced_bos_token_id"}, integer(0, maxInt, func(r *reader, n int) { r.s.ForcedBOS = int32(n) })},
	{[]string{"forced_eos_token_id"}, integer(0, maxInt, func(r *reader, n int) { r.s.ForcedEOS = []int32{int32(n)} })},
	{[]string{"exponential_decay_length_penalty"}, decay},

	{[]string{"seed"}, seed},
	{[]string{"max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict", "n_predict", "max_new_tokens"}, maxTokens},
	{[]string{"min_tokens", "min_new_tokens"}, integer(0, maxInt, func(r *reader, n int) { r.a.MinTokens = n })},
	{[]string{"t_max_predict_ms"}, number(0, 1e9, func(r *reader, x float64) { r.a.MaxTime = time.Duration(x * float64(time.Millisecond)) })},
	{[]string{"max_time"}, number(0, 1e6, func(r *reader, x float64) { r.a.MaxTime = time.Duration(x * float64(time.Second)) })},
	{[]string{"stop", "stop_strings", "stop_sequences"}, func(r *reader, name string) (err error) {
		r.a.Stop, _, err = r.Texts(name, MaxStops, maxStop)
		return err
	}},
	{[]string{"stop_token_ids"}, ids(func(r *reader, list []int32) { r.a.StopIDs = list })},
	{[]string{"token_healing"}, boolean(func(r *reader, b bool) { r.a.Heal = b })},
	{[]string{"guidance_scale"}, number(-100, 100, func(r *reader, x float64) {
		if x != 1 {
			r.a.Guidance = &systemgemma.Guidance{Scale: x}
		}
	})},
	{[]string{"negative_prompt"}, negative}, // after guidance_scale
	{[]string{"ignore_eos"}, boolean(func(r *reader, b bool) { r.a.IgnoreEOS = b })},
	{[]string{"n", "num_return_sequences"}, func(r *reader, name string) (err error) {
		r.a.N, _, err = r.Int(name, 1, max(1, r.limits.N))
		return err
	}},
	{[]string{"num_beams"}, numBeams},
	{[]string{"length_penalty"}, lengthPenalty},
	{[]string{"early_stopping"}, earlyStopping},
	{[]string{"best_of"}, func(r *reader, name string) (err error) {
		r.a.BestOf, _, err = r.Int(name, 1, max(1, r.limits.N))
		return err
	}},
	{[]string{"prompt_lookup_num_tokens"}, integer(0, maxInt, func(r *reader, n int) { r.a.Lookup = n > 0 })},
	{[]string{"prediction"}, prediction},

	{[]string{"system_mode"}, func(r *reader, name string) (err error) {
		r.a.SystemMode, _, err = r.Text(name)
		return err
	}},
	{[]string{"context_overflow"}, func(r *reader, name string) error {
		text, _, err := r.Text(name)
		if err == nil && text != string(systemgemma.ContextError) && text != string(systemgemma.ContextDropOldest) {
			err = r.Invalid(name, "want %s or %s, found %.40q", systemgemma.ContextError, systemgemma.ContextDropOldest, text)
		}
		r.a.Context = systemgemma.ContextPolicy(text)
		return err
	}},
	{[]string{"truncate"}, boolean(func(r *reader, b bool) { r.a.Context = policy(b) })},
	{[]string{"truncation"}, func(r *reader, name string) error { // of OpenAI's responses
		text, _, err := r.Text(name)
		if err == nil && text != "auto" && text != "disabled" {
			err = r.Invalid(name, "want auto or disabled, found %.40q", text)
		}
		r.a.Context = policy(text == "auto")
		return err
	}},
	{[]string{"add_generation_prompt"}, boolean(func(r *reader, b bool) { r.a.AddGenerationPrompt = &b })},
	{[]string{"continue_final_message", "continue_final"}, boolean(func(r *reader, b bool) { r.a.ContinueFinal = &b })},
	{[]string{"lora"}, lora},
}

func policy(drop bool) systemgemma.ContextPolicy {
	if drop {
		return systemgemma.ContextDropOldest
	}
	return systemgemma.ContextError
}

func number(least, most float64, set func(*reader, float64)) func(*reader, string) error {
	return func(r *reader, name string) error {
		x, _, err := r.Number(name, least, most)
		if err == nil {
			set(r, x)
		}
		return err
	}
}

func integer(least, most int, set func(*reader, int)) func(*reader, string) error {
	return func(r *reader, name string) error {
		n, _, err := r.Int(name, least, most)
		if err == nil {
			set(r, n)
		}
		return err
	}
}

func boolean(set func(*reader, bool)) func(*reader, string) error {
	return func(r *reader, name string) error {
		b, _, err := r.Bool(name)
		if err == nil {
			set(r, b)
		}
		return err
	}
}

func ids(set func(*reader, []int32)) func(*reader, string) error {
	return func(r *reader, name string) error {
		list, _, err := r.IDs(name)
		if err == nil && len(list) > maxBiases {
			err = r.Invalid(name, "want at most %d tokens, found %d", maxBiases, len(list))
		}
		if err == nil {
			set(r, list)
		}
		return err
	}
}

func (r *reader) texts(name string, most, longest int) ([]string, error) {
	list, _, err := r.Texts(name, most, longest)
	return list, err
}

// penaltyWindow: -1 looks back over all tokens, 0 turns the penalties off.
func penaltyWindow(r *reader, n int) {
	r.windowGiven = true
	r.s.PenaltyWindow = max(0, n)
	if n == 0 {
		r.s.RepetitionPenalty, r.s.PresencePenalty, r.s.FrequencyPenalty = 1, 0, 0
	}
}

// maxTokens: -1 and -2 mean as many as the context holds.
func maxTokens(r *reader, name string) error {
	least := 0
	if name == "num_predict" || name == "n_predict" {
		least = -2
	}
	n, _, err := r.Int(name, least, math.MaxInt)
	if err != nil {
		return err
	}
	r.a.MaxTokensGiven = true
	if r.a.MaxTokens = min(n, maxInt); n < 0 {
		r.a.MaxTokens = max(1, r.limits.Context)
	}
	return nil
}

// seedOfZero is the seed that a request's 0 means: the library's own 0 draws one.
const seedOfZero = 1 << 62

// seed: -1 draws one.
func seed(r *reader, name string) error {
	raw, _ := r.Raw(name)
	n, err := strconv.ParseInt(string(raw), 10, 64)
	u, uerr := strconv.ParseUint(string(raw), 10, 64)
	switch {
	case err != nil && uerr != nil:
		return r.wrong(name, "a whole number of 64 bits", raw)
	case err != nil:
		r.s.Seed = u
	case n == 0:
		r.s.Seed = seedOfZero
	case n == -1:
		r.s.Seed = 0
	default:
		r.s.Seed = uint64(n)
	}
	return nil
}

// samplerNames are llama.cpp's names of samplers that have another one here.
var samplerNames = map[string]string{"typ_p": "typical_p", "typical": "typical_p", "tfs_z": "", "infill": ""}

// samplers is the order, as names or as llama.cpp's letters.
func samplers(r *reader, name string) error {
	list, err := r.texts(name, maxSamples, 64)
	if err != nil {
		return err
	}
	for i, n := range list {
		if to, ok := samplerNames[n]; ok {
			n = to
		}
		if !slices.Contains(systemgemma.SamplerNames(), n) {
			return r.Invalid(name, "want names of %s, found %.40q", strings.Join(systemgemma.SamplerNames(), ", "), list[i])
		}
		list[i] = n
	}
	r.s.Order = list
	return nil
}

// logitBias is an object {"id or text": bias}, or llama.cpp's list of [id or text, bias or false]. OpenAI's keys are ids.
func logitBias(r *reader, name string) error {
	raw, _ := r.Raw(name)
	var object map[string]json.RawMessage
	var list [][2]json.RawMessage
	if json.Unmarshal(raw, &object) == nil {
		keys := make([]string, 0, len(object))
		for k := range object {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			id, value := json.RawMessage(k), object[k]
			if _, err := strconv.ParseInt(k, 10, 32); err != nil {
				id, _ = json.Marshal(k) // a text
			}
			list = append(list, [2]json.RawMessage{id, value})
		}
	} else if !isPairs(raw, &list) {
		return r.wrong(name, `an object of ids and biases, or a list of [id or text, bias or false]`, raw)
	}
	if len(list) > maxBiases {
		return r.Invalid(name, "want at most %d biases, found %d", maxBiases, len(list))
	}
	r.s.LogitBias = nil
	for _, pair := range list {
		var b systemgemma.Bias
		var id int32
		if json.Unmarshal(pair[0], &id) == nil && id >= 0 {
			b.IDs = []int32{id}
		} else if json.Unmarshal(pair[0], &b.Text) != nil || b.Text == "" {
			return r.wrong(name, "token ids or texts", pair[0])
		}
		if string(pair[1]) == "false" {
			b.Add = math.Inf(-1)
		} else if json.Unmarshal(pair[1], &b.Add) != nil || b.Add < -1000 || b.Add > 1000 || !isNumber(pair[1]) {
			return r.wrong(name, "biases from -1000 to 1000, or false for never", pair[1])
		}
		r.s.LogitBias = append(r.s.LogitBias, b)
	}
	return nil
}

// isPairs reads a list of pairs. Encoding/json would take lists of other lengths.
func isPairs(raw json.RawMessage, list *[][2]json.RawMessage) bool {
	var any [][]json.RawMessage
	if json.Unmarshal(raw, &any) != nil {
		return false
	}
	for _, p := range any {
		if len(p) != 2 {
			return false
		}
		*list = append(*list, [2]json.RawMessage{p[0], p[1]})
	}
	return true
}

// sequenceBias is transformers' list of [[ids], bias].
func sequenceBias(r *reader, name string) error {
	raw, _ := r.Raw(name)
	var list [][2]json.RawMessage
	if !isPairs(raw, &list) || len(list) > maxBiases {
		return r.wrong(name, "a list of [[ids], bias]", raw)
	}
	r.s.SequenceBias = nil
	for _, pair := range list {
		var b systemgemma.Bias
		var err error
		if b.IDs, err = ParseIDs(pair[0]); err != nil || len(b.IDs) == 0 || json.Unmarshal(pair[1], &b.Add) != nil || !isNumber(pair[1]) {
			return r.wrong(name, "a list of [[ids], bias]", raw)
		}
		r.s.SequenceBias = append(r.s.SequenceBias, b)
	}
	return nil
}

// decay is transformers' [start, factor].
func decay(r *reader, name string) error {
	raw, _ := r.Raw(name)
	var pair []float64
	if json.Unmarshal(raw, &pair) != nil || len(pair) != 2 || pair[0] < 0 || pair[0] != math.Trunc(pair[0]) || pair[0] > maxInt {
		return r.wrong(name, "[start, factor]", raw)
	}
	r.s.DecayStart, r.s.DecayFactor = int(pair[0]), pair[1]
	return nil
}

// negative is the prompt that guidance steers away from.
func negative(r *reader, name string) error {
	text, _, err := r.Text(name)
	if err != nil || text == "" {
		return err
	}
	if r.a.Guidance == nil {
		return r.Invalid(name, "want guidance_scale beside it, other than 1")
	}
	r.a.Guidance.Negative = systemgemma.Prompt{Text: text}
	return nil
}

// prediction is OpenAI's {"type": "content", "content": text or parts}.
func prediction(r *reader, name string) error {
	f, err := r.Object(name)
	if err != nil {
		return err
	}
	if kind, _, err := f.Text("type"); err != nil || kind != "content" && kind != "" {
		return r.Invalid(name+".type", "want content, found %.40q", kind)
	}
	raw, found := f.Raw("content")
	if !found {
		return r.Invalid(name+".content", "want a text, found none")
	}
	r.a.Prediction, err = Content(raw, r.Name(name)+".content")
	return err
}

// lora is llama.cpp's list of {"id": n, "scale": x}.
func lora(r *reader, name string) error {
	list, err := r.Objects(name)
	if err != nil {
		return err
	}
	if len(list) > maxSamples {
		return r.Invalid(name, "want at most %d adapters, found %d", maxSamples, len(list))
	}
	r.a.LoRA = map[int]float32{}
	for _, f := range list {
		id, found, err := f.Int("id", 0, maxInt)
		if err == nil && !found {
			err = f.Invalid("id", "want the id of an adapter, found none")
		}
		if err != nil {
			return err
		}
		scale, found, err := f.Number("scale", -1000, 1000)
		if err != nil {
			return err
		}
		if !found {
			scale = 1
		}
		r.a.LoRA[id] = float32(scale)
	}
	return nil
}

// Content is the text of a message's content: a text, or a list of parts of type text (or input_text, output_text), joined. Other
// parts are refused by name.
func Content(raw json.RawMessage, where string) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []struct {
		Type    string  `json:"type"`
		Text    *string `json:"text"`
		Refusal *string `json:"refusal"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return "", problem.Invalid(where, "want a text or a list of parts, found %s", excerpt(raw))
	}
	var b strings.Builder
	for _, p := range parts {
		switch {
		case p.Type == "refusal" && p.Refusal != nil:
			b.WriteString(*p.Refusal)
		case p.Type != "text" && p.Type != "input_text" && p.Type != "output_text":
			return "", problem.Unsupported(where, "want parts of type text, found %.40q: Gemma 2 reads text only, no images, audio or files", p.Type)
		case p.Text == nil:
			return "", problem.Invalid(where, "want a part's text, found none")
		default:
			b.WriteString(*p.Text)
		}
	}
	return b.String(), nil
}
