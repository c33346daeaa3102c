package option

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

var limits = Limits{N: 8, Context: 512}

func read(t testing.TB, body string, d Dialect) (*Answer, *Fields, error) {
	t.Helper()
	f, err := Decode([]byte(body))
	if err != nil {
		return nil, nil, err
	}
	a := New(systemgemma.Sampling{})
	if err := a.Read(f, d, limits); err != nil {
		return nil, f, err
	}
	return a, f, a.Check()
}

// Every name of an option says the same to the library.
func TestHonoured(t *testing.T) {
	type want struct {
		Temperature, TopP, MinP, TypicalP, Repeat, Presence, Frequency float64
		TopK, Window, Max                                              int
		Seed                                                           uint64
	}
	for _, x := range []struct {
		dialect Dialect
		body    string
		want    want
	}{
		{OpenAI, `{}`, want{}},
		{OpenAI, `{"temperature": 1, "top_p": 0.5, "seed": 3, "max_tokens": 7}`, want{Temperature: 1, TopP: 0.5, Seed: 3, Max: 7}},
		{OpenAI, `{"max_completion_tokens": 7.0, "presence_penalty": 1, "frequency_penalty": -1}`, want{Max: 7, Presence: 1, Frequency: -1}},
		{OpenAI, `{"max_tokens": 7, "max_completion_tokens": 7, "temperature": null}`, want{Max: 7}},
		{Ollama, `{"num_predict": -1, "repeat_penalty": 1.5}`, want{Max: 512, Repeat: 1.5, Window: 64}},
		{Ollama, `{"num_predict": -2, "repeat_penalty": 1.5, "repeat_last_n": -1}`, want{Max: 512, Repeat: 1.5}},
		{Ollama, `{"repeat_penalty": 1.5, "repeat_last_n": 0}`, want{Repeat: 1}},
		{Llama, `{"n_predict": 5, "typ_p": 0.5, "min_p": 0.1, "top_k": -1, "repeat_last_n": 9}`, want{Max: 5, TypicalP: 0.5, MinP: 0.1, Window: 9}},
		{OpenAI, `{"do_sample": true, "top_k": 4, "repetition_penalty": 2}`, want{Temperature: 1, TopK: 4, Repeat: 2}},
		{OpenAI, `{"do_sample": false, "temperature": 1}`, want{}},
		{OpenAI, `{"seed": 0}`, want{Seed: seedOfZero}},
		{OpenAI, `{"seed": -1}`, want{}},
		{OpenAI, `{"seed": -9223372036854775808}`, want{Seed: 1 << 63}},
		{OpenAI, `{"seed": 18446744073709551615}`, want{Seed: math.MaxUint64}},
	} {
		a, f, err := read(t, x.body, x.dialect)
		if err != nil {
			t.Errorf("%s: %v", x.body, err)
			continue
		}
		s := a.Sampling
		got := want{s.Temperature, s.TopP, s.MinP, s.TypicalP, s.RepetitionPenalty, s.PresencePenalty, s.FrequencyPenalty, s.TopK, s.PenaltyWindow, a.MaxTokens, s.Seed}
		if got != x.want || len(f.Rest()) > 0 || s.Rules != systemgemma.RulesLlama {
			t.Errorf("%s: %+v, want %+v; left %v, rules %q", x.body, got, x.want, f.Rest(), s.Rules)
		}
	}
}

// Options that are not numbers.
func TestHonouredForms(t *testing.T) {
	yes, inf := true, math.Inf(-1)
	for _, x := range []struct {
		body string
		want func(a *Answer) (got, want any)
	}{
		{`{"stop": "a"}`, func(a *Answer) (any, any) { return a.Stop, []string{"a"} }},
		{`{"stop": ["a", "b"]}`, func(a *Answer) (any, any) { return a.Stop, []string{"a", "b"} }},
		{`{"logit_bias": {"7": -100, "5": 1.5}}`, func(a *Answer) (any, any) {
			return a.Sampling.LogitBias, []systemgemma.Bias{{IDs: []int32{5}, Add: 1.5}, {IDs: []int32{7}, Add: -100}}
		}},
		{`{"logit_bias": [[7, false], ["word", 2]]}`, func(a *Answer) (any, any) {
			return a.Sampling.LogitBias, []systemgemma.Bias{{IDs: []int32{7}, Add: inf}, {Text: "word", Add: 2}}
		}},
		{`{"sequence_bias": [[[1, 2], 3]]}`, func(a *Answer) (any, any) {
			return a.Sampling.SequenceBias, []systemgemma.Bias{{IDs: []int32{1, 2}, Add: 3}}
		}},
		{`{"exponential_decay_length_penalty": [10, 1.5]}`, func(a *Answer) (any, any) {
			return []float64{float64(a.Sampling.DecayStart), a.Sampling.DecayFactor}, []float64{10, 1.5}
		}},
		{`{"stop_token_ids": [3, 4], "token_healing": true}`, func(a *Answer) (any, any) { return a.StopIDs, []int32{3, 4} }},
		{`{"negative_prompt": "a", "guidance_scale": 1.5}`, func(a *Answer) (any, any) {
			return a.Guidance, &systemgemma.Guidance{Scale: 1.5, Negative: systemgemma.Prompt{Text: "a"}}
		}},
		{`{"max_time": 1.5}`, func(a *Answer) (any, any) { return a.MaxTime, 1500 * time.Millisecond }},
		{`{"samplers": ["top_k", "typ_p", "temperature"]}`, func(a *Answer) (any, any) { return a.Sampling.Order, []string{"top_k", "typical_p", "temperature"} }},
		{`{"prediction": {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}`, func(a *Answer) (any, any) { return a.Prediction, "ab" }},
		{`{"truncate": true}`, func(a *Answer) (any, any) { return a.Context, systemgemma.ContextDropOldest }},
		{`{"continue_final_message": true}`, func(a *Answer) (any, any) { return a.ContinueFinal, &yes }},
		{`{"lora": [{"id": 1, "scale": 0.5}, {"id": 0}]}`, func(a *Answer) (any, any) { return a.LoRA, map[int]float32{0: 1, 1: 0.5} }},
		{`{"response_format": {"type": "json_object"}}`, func(a *Answer) (any, any) { return a.Format, &systemgemma.Format{JSONObject: true, Spaced: true} }},
		{`{"response_format": {"type": "text"}, "format": ""}`, func(a *Answer) (any, any) { return a.Format, (*systemgemma.Format)(nil) }},
		{`{"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {"type": "string"}}}}`, func(a *Answer) (any, any) {
			return a.Format, &systemgemma.Format{JSONSchema: json.RawMessage(`{"type": "string"}`), Spaced: true}
		}},
		{`{"format": "json"}`, func(a *Answer) (any, any) { return a.Format, &systemgemma.Format{JSONObject: true, Spaced: true} }},
		{`{"format": {"type": "string"}}`, func(a *Answer) (any, any) {
			return a.Format, &systemgemma.Format{JSONSchema: json.RawMessage(`{"type": "string"}`), Spaced: true}
		}},
		{`{"guided_choice": ["a", "b"]}`, func(a *Answer) (any, any) { return a.Format, &systemgemma.Format{Choices: []string{"a", "b"}} }},
		{`{"guided_regex": "a+", "grammar": ""}`, func(a *Answer) (any, any) { return a.Format, &systemgemma.Format{Regex: "a+"} }},
		{`{"grammar": "root ::= \"a\""}`, func(a *Answer) (any, any) { return a.Format, &systemgemma.Format{GBNF: `root ::= "a"`} }},
		{`{"structured_outputs": {"regex": "a"}}`, func(a *Answer) (any, any) { return a.Format, &systemgemma.Format{Regex: "a"} }},
		{`{"structured_outputs": {"json": {"type": "string"}}}`, func(a *Answer) (any, any) {
			return a.Format, &systemgemma.Format{JSONSchema: json.RawMessage(`{"type": "string"}`), Spaced: true}
		}},
		{`{"num_ctx": 99999, "user": "u", "think": false, "parallel_tool_calls": true, "store": null}`, func(a *Answer) (any, any) {
			return a.Ignored, []string{"think", "user", "parallel_tool_calls", "num_ctx"}
		}},
	} {
		a, f, err := read(t, x.body, OpenAI)
		if err != nil {
			t.Errorf("%s: %v", x.body, err)
			continue
		}
		if got, want := x.want(a); !reflect.DeepEqual(got, want) || len(f.Rest()) > 0 {
			t.Errorf("%s: %s left %v", x.body, cmp.Diff(want, got), f.Rest())
		}
	}
}

// What the page of llama.cpp sends with every request is taken: most of it says that something is off.
func TestAllOfLlama(t *testing.T) {
	a, f, err := read(t, `{"temperature":0.8,"dynatemp_range":0,"dynatemp_exponent":1,"top_k":40,"top_p":0.95,"min_p":0.05,"xtc_probability":0,"xtc_threshold":0.1,"typ_p":1,"repeat_last_n":64,
		"repeat_penalty":1,"presence_penalty":0,"frequency_penalty":0,"dry_multiplier":0,"dry_base":1.75,"dry_allowed_length":2,"dry_penalty_last_n":-1,"dry_sequence_breakers":["\n",":"],"mirostat":0,
		"mirostat_tau":5,"mirostat_eta":0.1,"samplers":["penalties","dry","top_n_sigma","top_k","typ_p","top_p","min_p","xtc","temperature"],"n_predict":-1,"cache_prompt":true,"id_slot":-1}`, Llama)
	if err != nil || len(f.Rest()) > 0 || strings.Join(a.Ignored, " ") != "cache_prompt id_slot" || len(a.Warnings) != 4 {
		t.Errorf("%v, left %v, ignored %v, warnings %q", err, f.Rest(), a.Ignored, a.Warnings)
	}
}

// Unknown members are left, for the caller to count.
func TestUnknownIsLeft(t *testing.T) {
	_, f, err := read(t, `{"foo": {"bar": 1}, "temperature": 1, "tfs_z": 1}`, OpenAI)
	if err != nil || strings.Join(f.Rest(), " ") != "foo tfs_z" {
		t.Errorf("%v, %v", f.Rest(), err)
	}
}

// A wrong value is refused by the name of its field: what was expected, what was found.
func TestRefused(t *testing.T) {
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for body, want := range map[string]string{
		``: "body: want a JSON object, found nothing", `[]`: "body: want a JSON object, found []", `{"a":`: "it ends too early", `{"a":1} x`: "more after it", `{"a":1}{}`: "more after it",
		`{"a":1,"a":2}`: "a: want it once", "{\"a\":\"\xff\"}": "want UTF-8", `{"a":` + deep + `}`: "at most 64 deep", `{a:1}`: "a mistake at byte", `nul`: "a mistake",
		`{"temperature": "hot"}`: `temperature: want a number, found "hot"`, `{"temperature": -1}`: "temperature: want a number from 0 to 100, found -1",
		`{"temperature": 1e999}`: "temperature: want", `{"temperature": NaN}`: "mistake", `{"temperature": 1e-9}`: "temperature: want 0 (greedy) or 1e-6 to 100",
		`{"temperature": [1]}`: "found [1]", `{"top_k": 1.5}`: "top_k: want a whole number", `{"top_p": 2}`: "top_p: want a number from 0 to 1, found 2",
		`{"max_tokens": -1}`: "max_tokens: want a whole number, 0 or more", `{"max_tokens": 1e300}`: "max_tokens", `{"max_tokens": true}`: "max_tokens", `{"num_predict": -3}`: "num_predict",
		`{"max_tokens": 1, "max_completion_tokens": 2}`: "want one name for it",
		`{"n": 9}`: "n: want a whole number from 1 to 8, found 9", `{"n": 1000000}`: "n: want", `{"n": 0}`: "n: want",
		`{"n": 3, "best_of": 2, "temperature": 1}`: "best_of: want at least n = 3",
		`{"stop": [""]}`: "stop: want texts of 1 to 1024 bytes", `{"stop": [1]}`: "stop: want a text or a list of texts", `{"stop": "` + strings.Repeat("a", 2000) + `"}`: "stop: want texts",
		`{"stop": [` + strings.Repeat(`"a",`, 64) + `"a"]}`: "stop: want at most 64 texts, found 65",
		`{"logit_bias": {"5": "x"}}`:                        "logit_bias: want biases", `{"logit_bias": {"5": 5000}}`: "logit_bias: want biases from -1000 to 1000", `{"logit_bias": [[1]]}`: "logit_bias: want an object",
		`{"logit_bias": [[-1, 1]]}`: "logit_bias: want token ids or texts", `{"logit_bias": [[1.5, 1]]}`: "logit_bias", `{"logit_bias": 3}`: "logit_bias", `{"logit_bias": {"5": null}}`: "logit_bias",
		`{"seed": 1.5}`: "seed: want a whole number of 64 bits", `{"seed": 99999999999999999999}`: "seed: want",
		`{"think": true}`: "think: Gemma 2 does not support thinking", `{"think": "high"}`: "think",
		`{"guidance_scale": 200}`: "guidance_scale: want", `{"negative_prompt": "a"}`: "negative_prompt: want guidance_scale beside it", `{"num_beams": 4}`: "num_beams: not supported", `{"negative_prompt_ids": [[2]]}`: "negative_prompt_ids: not supported; want negative_prompt", `{"stop_token_ids": "x"}`: "stop_token_ids: want a list of token ids", `{"eos_token_id": 3}`: "eos_token_id: not supported; want stop_token_ids",
		`{"chat_template": "x"}`: "chat_template: not supported", `{"images": ["x"]}`: "images: not supported", `{"token_healing": 3}`: "token_healing",
		`{"response_format": {"type": "xml"}}`: "response_format.type: want text, json_object or json_schema", `{"response_format": "json"}`: "response_format: want an object",
		`{"response_format": {"type": "json_schema"}}`: "response_format.json_schema.schema: want a JSON schema, found none", `{"response_format": {"type":"json_schema","json_schema":{"schema":3}}}`: "schema: want a JSON schema",
		`{"format": "yaml"}`: `format: want "json" or a JSON schema`, `{"format": 3}`: "format: want a JSON schema", `{"format": "json", "guided_regex": "a"}`: "guided_regex: want one format, found format beside it",
		`{"guided_json": {"a":"` + strings.Repeat("a", 70000) + `"}}`: "guided_json: want at most 65536 bytes", `{"structured_outputs": {"x": 1}}`: "structured_outputs.x: not supported",
		`{"samplers": ["top_k", "luck"]}`: `samplers: want names of penalties`, `{"mirostat": 3}`: "mirostat: want", `{"sampler_rules": "mine"}`: "sampler_rules: want llama or transformers",
		`{"prediction": {"type": "content"}}`: "prediction.content: want a text", `{"prediction": {"type": "content", "content": [{"type":"image_url"}]}}`: "prediction.content: want parts of type text",
		`{"truncation": "some"}`: "truncation: want auto or disabled", `{"context_overflow": "x"}`: "context_overflow: want", `{"lora": [{"scale": 1}]}`: "lora[0].id: want the id", `{"lora": {"id": 1}}`: "lora: want a list",
		`{"lora": [{"id": 0, "scale": 1e9}]}`: "lora[0].scale", `{"exponential_decay_length_penalty": [1]}`: "exponential_decay_length_penalty", `{"ignore_eos": 1}`: "ignore_eos: want true or false",
		`{"suppress_tokens": [-1]}`: "suppress_tokens: want token ids of 0 and more", `{"suppress_tokens": [1e20]}`: "suppress_tokens: want a list of token ids", `{"dry_sequence_breakers": [""]}`: "dry_sequence_breakers",
		`{"dry_multiplier": 1, "dry_sequence_breakers": ["` + strings.Repeat("a", 41) + `"]}`: "dry_sequence_breakers: want texts of 1 to 40 bytes, found one of 41", `{"sequence_bias": [[[], 1]]}`: "sequence_bias",
	} {
		_, _, err := read(t, body, OpenAI)
		var p *problem.Error
		if !errors.As(err, &p) || p.Status != 400 || !strings.Contains(p.Message, want) {
			t.Errorf("%.60s: %v, want a 400 with %q", body, err, want)
		}
	}
}

// Of any bytes come fields and options, or a 400.
func FuzzRead(f *testing.F) {
	for _, s := range []string{`{}`, `{"temperature": 1, "stop": ["a"], "logit_bias": {"1": 2}}`, `{"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}`,
		`{"lora":[{"id":0}],"samplers":["top_k"],"n":2,"seed":-1}`, `{"prediction":{"content":[{"type":"text","text":""}]}}`, `{"structured_outputs":{"choice":["a"]}}`, `{"a":[[[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fields, err := Decode(body)
		if err == nil {
			a := New(systemgemma.Sampling{})
			if err = a.Read(fields, Ollama, limits); err == nil {
				err = a.Check()
			}
			if err == nil && (a.N < 1 || a.N > limits.N || a.MaxTokens < 0 || a.Sampling.Temperature < 0 || math.IsNaN(a.Sampling.Temperature)) {
				t.Fatalf("%q: %+v", body, a)
			}
		}
		var p *problem.Error
		if err != nil && (!errors.As(err, &p) || p.Status != 400) {
			t.Fatalf("%q: %v is no 400", body, err)
		}
		_ = fmt.Sprint(err)
	})
}

// The options of OpenAI, Ollama, llama.cpp, vLLM and transformers are known by name: honoured, refused, or a hint that is told of. What only an
// endpoint has (logprobs, echo, n_probs, system, template, raw, suffix) is its dialect's.
func TestEveryNameIsKnown(t *testing.T) {
	for name := range strings.FieldsSeq(`max_tokens max_completion_tokens max_output_tokens num_predict n_predict max_new_tokens max_length min_tokens min_new_tokens temperature do_sample
		top_k top_p min_p typical_p typ_p min_keep top_h top_n_sigma xtc_probability xtc_threshold dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers
		dynatemp_range dynatemp_exponent mirostat mirostat_tau mirostat_eta epsilon_cutoff eta_cutoff repeat_penalty repetition_penalty repeat_last_n presence_penalty
		frequency_penalty no_repeat_ngram_size encoder_repetition_penalty encoder_no_repeat_ngram_size logit_bias sequence_bias bad_words bad_words_ids suppress_tokens begin_suppress_tokens
		stop stop_strings stop_sequences stop_token_ids eos_token_id ignore_eos seed n best_of num_return_sequences use_beam_search num_beams num_beam_groups diversity_penalty
		length_penalty early_stopping penalty_alpha dola_layers max_time t_max_predict_ms grammar json_schema response_format format guided_json guided_regex guided_choice
		guided_grammar structured_outputs samplers guidance_scale negative_prompt negative_prompt_ids prompt_lookup_num_tokens max_matching_ngram_size assistant_model
		num_assistant_tokens num_assistant_tokens_schedule assistant_confidence_threshold draft_num_predict speculative.n_max speculative.n_min speculative.p_min prediction
		cache_prompt id_slot n_keep n_discard n_cache_reuse context_overflow num_ctx num_keep truncate truncation shift use_cache cache_implementation lora token_healing
		watermarking_config exponential_decay_length_penalty forced_bos_token_id forced_eos_token_id renormalize_logits remove_invalid_values system_mode
		continue_final_message continue_final add_generation_prompt chat_template chat_template_kwargs images think reasoning_effort num_gpu main_gpu num_thread num_batch numa
		low_vram f16_kv use_mmap use_mlock vocab_only user metadata store service_tier parallel_tool_calls sampler_rules`) {
		a, f, err := read(t, `{"`+name+`": 3}`, OpenAI)
		var p *problem.Error
		switch {
		case errors.As(err, &p) && strings.Contains(p.Message, strings.TrimSuffix(name, "_ids")):
		case err != nil:
			t.Errorf("%s: refused without its name: %v", name, err)
		case len(f.Rest()) > 0:
			t.Errorf("%s: nobody knows it; ignored %v", name, a.Ignored)
		}
	}
}
