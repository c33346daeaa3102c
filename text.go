package systemgemma

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/decode/breakers"
	"github.com/systemgemma/systemgemma/internal/mini"
	"github.com/systemgemma/systemgemma/internal/text/template"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// Text is what a model's files say about text: tokenizer and chat template. Safe for concurrent use.
type Text struct {
	checkpoint *checkpoint.Checkpoint
	tok        *tokenizer.Tokenizer // nil when the files have none
	mode       template.Mode
	custom     *template.Custom // when mode is custom
	modeReason string           // why that mode
	breakers   breakers.Cache
}

// OpenText opens tokenizer and template only: also of a folder without weights, a GGUF without tensors, or a bare
// tokenizer.json(.gz) or tokenizer.model. Of the options only SystemMode and Template count.
func OpenText(name string, o *Options) (*Text, error) {
	if o == nil {
		o = &Options{}
	}
	ck, err := openCheckpoint(name, checkpoint.OpenText)
	if err != nil {
		return nil, err
	}
	t, err := newText(ck, o)
	if err != nil {
		_ = ck.Close() // the first error is the one to report
		return nil, fmt.Errorf("open %s: %w", displayName(name), err)
	}
	return t, nil
}

func openCheckpoint(name string, open func(string) (*checkpoint.Checkpoint, error)) (*checkpoint.Checkpoint, error) {
	if name == "" || name == Mini {
		return checkpoint.OpenBytes(Mini, mini.File())
	}
	if strings.HasPrefix(name, sectionPrefix) {
		return openSection(name)
	}
	return open(name)
}

func displayName(name string) string {
	if name == "" {
		return Mini
	}
	if strings.HasPrefix(name, sectionPrefix) {
		if path, _, _, err := parseSection(name); err == nil {
			return path
		}
	}
	return name
}

func newText(ck *checkpoint.Checkpoint, o *Options) (*Text, error) {
	t := &Text{checkpoint: ck}
	var err error
	if ck.Vocab != nil {
		if t.tok, err = tokenizer.New(ck.Vocab); err != nil {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
		ck.Vocab = nil // 11 MB for Gemma, of which the tokenizer has made its own
	}
	name := o.SystemMode
	if name == "" && o.Template != "" {
		name = string(template.UserTemplate)
	}
	if t.mode, t.custom, t.modeReason, err = t.resolveMode(cmp.Or(name, string(template.Auto)), o.Template); err != nil {
		return nil, err
	}
	return t, nil
}

// resolveMode turns a mode's name into what Render needs, and says why if the name was auto.
func (t *Text) resolveMode(name, source string) (mode template.Mode, c *template.Custom, reason string, err error) {
	if mode, err = template.ParseMode(name); err != nil {
		return mode, nil, "", err
	}
	switch {
	case mode == template.Auto && t.checkpoint.SystemMode != "":
		if mode, err = template.ParseMode(t.checkpoint.SystemMode); err == nil && mode == template.UserTemplate {
			c, err = template.ParseCustom(t.checkpoint.ChatTemplate)
		}
		return mode, c, "the file says so", err
	case mode == template.Auto:
		mode, reason = template.Detect(t.checkpoint.ChatTemplate)
		return mode, nil, reason, nil
	case mode != template.UserTemplate:
		return mode, nil, "asked for", nil
	case source != "":
		c, err = template.ParseCustom(source)
		return mode, c, "asked for", err
	case t.custom != nil:
		return mode, t.custom, "asked for", nil
	}
	return mode, nil, "", errors.New("system mode custom: want a template beside it, found none")
}

// Close releases the files. A Model closes its own Text.
func (t *Text) Close() error { return t.checkpoint.Close() }

// Tokenize encodes text as mere text: no control token comes of it, and no <bos> is added. With special, control tokens
// that the text spells are read as such.
func (t *Text) Tokenize(text string, special bool) ([]int32, error) {
	if t.tok == nil {
		return nil, ErrNoTokenizer
	}
	if special {
		return t.tok.AppendSpecial([]int32{}, text), nil
	}
	return t.tok.AppendText([]int32{}, text), nil
}

// Detokenize is the text of ids, control tokens spelled out. Bytes that are no UTF-8 become U+FFFD. An id outside the
// vocabulary is an error.
func (t *Text) Detokenize(ids []int32) (string, error) {
	if t.tok == nil {
		return "", ErrNoTokenizer
	}
	for i, id := range ids {
		if id < 0 || int(id) >= t.tok.Size() {
			return "", fmt.Errorf("id %d of the list: want 0 to %d, found %d", i, t.tok.Size()-1, id)
		}
	}
	return t.tok.Decode(ids), nil
}

// Piece is how the vocabulary spells an id, "" outside it.
func (t *Text) Piece(id int32) string {
	if t.tok == nil || id < 0 || int(id) >= t.tok.Size() {
		return ""
	}
	return t.tok.Piece(id)
}
