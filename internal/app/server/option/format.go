package option

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// maxFormat bounds a schema, an expression or a grammar, in bytes.
const maxFormat = 64 << 10

// formatField is a name by which requests hold an answer to a form.
type formatField struct {
	name string
	take func(r *reader, name string) (*systemgemma.Format, error)
}

// formatFields are those that stand by themselves, or in structured_outputs.
var formatFields = []formatField{
	{"response_format", (*reader).responseFormat},
	{"format", (*reader).ollamaFormat},
	{"json_schema", (*reader).schema},
	{"guided_json", (*reader).schema},
	{"grammar", (*reader).grammar},
	{"guided_grammar", (*reader).grammar},
	{"guided_regex", (*reader).regex},
	{"regex", (*reader).regex},
	{"guided_choice", (*reader).choice},
	{"choice", (*reader).choice},
}

// formats takes what holds the answer to a form. At most one may be given.
func (r *reader) formats(further ...formatField) error {
	from := ""
	for _, x := range append(further, formatFields...) {
		if !r.Has(x.name) {
			r.Raw(x.name)
			continue
		}
		f, err := x.take(r, x.name)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		if r.a.Format != nil {
			return r.Invalid(x.name, "want one format, found %s beside it", cmp.Or(from, "another one"))
		}
		r.a.Format, from = f, x.name
	}
	return nil
}

// schemaOf is JSON of a schema; spaces where people put them, which models write too.
func (r *reader) schemaOf(name string, raw json.RawMessage) (*systemgemma.Format, error) {
	if len(raw) > maxFormat {
		return nil, r.Invalid(name, "want at most %d bytes, found %d", maxFormat, len(raw))
	}
	if len(raw) == 0 || raw[0] != '{' && string(raw) != "true" {
		return nil, r.wrong(name, "a JSON schema, which is an object", raw)
	}
	return &systemgemma.Format{JSONSchema: raw, Spaced: true}, nil
}

func (r *reader) schema(name string) (*systemgemma.Format, error) {
	raw, _ := r.Raw(name)
	var text string
	if json.Unmarshal(raw, &text) == nil { // vLLM takes a schema in a string too
		raw = json.RawMessage(text)
	}
	return r.schemaOf(name, raw)
}

func (r *reader) bounded(name string) (string, error) {
	text, _, err := r.Text(name)
	if len(text) > maxFormat {
		return "", r.Invalid(name, "want at most %d bytes, found %d", maxFormat, len(text))
	}
	return text, err
}

// grammar is GBNF. llama.cpp's clients send "" for none.
func (r *reader) grammar(name string) (*systemgemma.Format, error) {
	text, err := r.bounded(name)
	if err != nil || text == "" {
		return nil, err
	}
	return &systemgemma.Format{GBNF: text}, nil
}

func (r *reader) regex(name string) (*systemgemma.Format, error) {
	text, err := r.bounded(name)
	if err != nil || text == "" {
		return nil, err
	}
	return &systemgemma.Format{Regex: text}, nil
}

func (r *reader) choice(name string) (*systemgemma.Format, error) {
	list, err := r.texts(name, 1024, maxFormat)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &systemgemma.Format{Choices: list}, nil
}

// structured is vLLM's structured_outputs: an object with one of the others.
func (r *reader) structured(name string) (*systemgemma.Format, error) {
	f, err := r.Object(name)
	if err != nil {
		return nil, err
	}
	sub := reader{Fields: f, a: &Answer{}, dialect: r.dialect, limits: r.limits}
	object, _, err := f.Bool("json_object")
	if err != nil {
		return nil, err
	}
	raw, found := f.Raw("json")
	if found {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			raw = json.RawMessage(text)
		}
		if sub.a.Format, err = sub.schemaOf("json", raw); err != nil {
			return nil, err
		}
	}
	if object {
		sub.a.Format = &systemgemma.Format{JSONObject: true, Spaced: true}
	}
	if err := sub.formats(); err != nil {
		return nil, err
	}
	if rest := f.Rest(); len(rest) > 0 {
		return nil, problem.Unsupported(f.Name(rest[0]), "not supported; want json, json_object, regex, choice or grammar")
	}
	return sub.a.Format, nil
}

// ollamaFormat is "json" or a schema; "" is none.
func (r *reader) ollamaFormat(name string) (*systemgemma.Format, error) {
	raw, _ := r.Raw(name)
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return r.schemaOf(name, raw)
	}
	switch text {
	case "":
		return nil, nil
	case "json":
		return &systemgemma.Format{JSONObject: true, Spaced: true}, nil
	}
	return nil, r.Invalid(name, `want "json" or a JSON schema, found %.40q`, text)
}

// responseFormat is OpenAI's: text, json_object, json_schema, of chat or of responses (text.format). llama.cpp takes a schema beside
// json_object too.
func (r *reader) responseFormat(name string) (*systemgemma.Format, error) {
	f, err := r.Object(name)
	if err != nil {
		return nil, err
	}
	return responseFormat(f)
}

// ResponseFormat reads {"type": ...} as in response_format; nil: free text.
func ResponseFormat(f *Fields) (*systemgemma.Format, error) { return responseFormat(f) }

func responseFormat(f *Fields) (*systemgemma.Format, error) {
	r := reader{Fields: f}
	kind, _, err := f.Text("type")
	if err != nil {
		return nil, err
	}
	switch kind {
	case "text":
		return nil, nil
	case "json_object":
		if raw, found := f.Raw("schema"); found {
			return r.schemaOf("schema", raw)
		}
		return &systemgemma.Format{JSONObject: true, Spaced: true}, nil
	case "json_schema":
		if f.Has("schema") { // of responses
			raw, _ := f.Raw("schema")
			return r.schemaOf("schema", raw)
		}
		sub, err := f.Object("json_schema")
		if err != nil {
			return nil, err
		}
		if sub == nil || !sub.Has("schema") {
			return nil, f.Invalid("json_schema.schema", "want a JSON schema, found none")
		}
		raw, _ := sub.Raw("schema")
		in := reader{Fields: sub}
		return in.schemaOf("schema", raw)
	case "grammar": // llama.cpp's and vLLM's
		return r.grammar("grammar")
	case "regex":
		return r.regex("pattern")
	}
	return nil, f.Invalid("type", "want text, json_object or json_schema, found %.40q", kind)
}

// refused are options that change the answer and can't be honoured, with values that do nothing and so are accepted.
var refused = []struct {
	name     string
	harmless []string // values, as JSON
	instead  string
}{
	{"negative_prompt_ids", []string{"[]"}, "negative_prompt"}, {"use_beam_search", []string{"false"}, "num_beams"}, {"num_beam_groups", []string{"1"}, ""}, {"encoder_no_repeat_ngram_size", []string{"0"}, "no_repeat_ngram_size"}, {"diversity_penalty", []string{"0", "0.0"}, ""},
	{"penalty_alpha", []string{"0", "0.0"}, ""}, {"dola_layers", nil, ""},
	{"watermark", []string{"false"}, "systemgemma run --watermark-keys"}, {"watermarking_config", nil, "systemgemma run --watermark-keys"},
	{"eos_token_id", nil, "stop_token_ids"}, {"bad_words_ids", []string{"[]"}, "bad_words, suppress_tokens or logit_bias"},
	{"renormalize_logits", []string{"false", "true"}, ""}, {"remove_invalid_values", []string{"false", "true"}, ""}, {"top_a", []string{"0", "0.0"}, ""},
	{"chat_template", []string{`""`}, "system_mode, or systemgemma serve --template"}, {"chat_template_kwargs", []string{"{}"}, "system_mode"}, {"template", []string{`""`}, "system_mode, or systemgemma serve --template"},
	{"shift", []string{"false"}, "context_overflow or truncate"}, {"context_shift", []string{"false"}, "context_overflow or truncate"}, {"truncate_prompt_tokens", nil, "context_overflow"},
	{"assistant_model", nil, "systemgemma serve --draft"}, {"speculative", nil, "systemgemma serve --draft"}, {"keep_history", []string{"false"}, ""}, {"max_length", nil, "max_tokens"},
	{"include_stop_str_in_output", []string{"false"}, ""}, {"skip_special_tokens", []string{"true"}, ""}, {"spaces_between_special_tokens", []string{"true", "false"}, ""},
	{"post_sampling_probs", []string{"false"}, ""}, {"prompt_logprobs", nil, "echo with logprobs in /v1/completions"}, {"images", []string{"[]"}, "text: Gemma 2 reads no images"},
	{"audio", nil, "text"}, {"modalities", []string{`["text"]`}, "text"}, {"web_search_options", nil, ""}, {"functions", []string{"[]"}, "tools"}, {"function_call", []string{`"none"`, `"auto"`}, "tool_choice"},
}

// refuse refuses what can't be honoured, and thinking.
func (r *reader) refuse() error {
	for _, x := range refused {
		raw, found := r.Raw(x.name)
		if !found || slices.Contains(x.harmless, string(raw)) {
			continue
		}
		instead := ""
		if x.instead != "" {
			instead = "; want " + x.instead
		}
		return problem.Unsupported(r.Name(x.name), "not supported%s", instead)
	}
	raw, found := r.Raw("think")
	switch {
	case !found:
	case string(raw) == "false":
		r.a.Ignored = append(r.a.Ignored, "think")
	default:
		return problem.Unsupported(r.Name("think"), "Gemma 2 does not support thinking; want false, found %s", excerpt(raw))
	}
	return nil
}
