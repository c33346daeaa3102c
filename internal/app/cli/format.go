package cli

import (
	"encoding/json"
	"fmt"

	"github.com/systemgemma/systemgemma"
)

// formatFlags hold answers to a form.
type formatFlags struct {
	JSONSchema string   `name:"json-schema" xor:"format" placeholder:"FILE" group:"Format" help:"JSON that satisfies the JSON schema in FILE."`
	JSONObject bool     `name:"json-object" xor:"format" group:"Format" help:"Any JSON object."`
	Regex      string   `xor:"format" placeholder:"EXPR" group:"Format" help:"What the regular expression EXPR matches, from beginning to end."`
	Choice     []string `sep:"none" xor:"format" placeholder:"TEXT" group:"Format" help:"One of some texts: give --choice several times."`
	Grammar    string   `xor:"format" placeholder:"FILE" group:"Format" help:"What the GBNF grammar in FILE derives."`
	SpacedJSON bool     `name:"spaced-json" group:"Format" help:"Let JSON have spaces and line ends, where it would be compact."`
}

// maxFormat bounds a file that says what an answer is like, in bytes. The library wants less, and says how much.
const maxFormat = 1 << 20

// format is what the flags ask for; nil: nothing.
func (f *formatFlags) format() (*systemgemma.Format, error) {
	o := systemgemma.Format{JSONObject: f.JSONObject, Regex: f.Regex, Choices: f.Choice, Spaced: f.SpacedJSON}
	isJSON := f.JSONObject || f.JSONSchema != ""
	switch {
	case f.SpacedJSON && !isJSON:
		return nil, usagef("--spaced-json: want --json-schema or --json-object beside it")
	case f.JSONSchema != "":
		text, err := readFormat("--json-schema", f.JSONSchema)
		if o.JSONSchema = json.RawMessage(text); err != nil {
			return nil, err
		}
	case f.Grammar != "":
		var err error
		if o.GBNF, err = readFormat("--grammar", f.Grammar); err != nil {
			return nil, err
		}
	case !isJSON && f.Regex == "" && f.Choice == nil:
		return nil, nil
	}
	return &o, nil
}

func readFormat(flag, path string) (string, error) {
	text, err := readFile(path, maxFormat)
	if err == nil && text == "" {
		err = fmt.Errorf("%s is empty", path)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	return text, nil
}

// cut says that an answer lacks a part of what it was held to.
func cut(r *systemgemma.Result) error {
	if !r.Cut || r.FinishReason == systemgemma.FinishCancel {
		return nil
	}
	return fmt.Errorf("%w: after %d tokens (%s)", systemgemma.ErrCut, len(r.IDs), r.FinishReason)
}
