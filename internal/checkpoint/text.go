package checkpoint

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// Largest side files in bytes. Gemma's config.json has under 1 KB, its tokenizer_config.json 47 KB, its tokenizer.json 17.5 MB.
const (
	maxConfig    = 256 << 10
	maxSideFile  = 4 << 20
	maxTokenizer = 64 << 20
	// maxRatio bounds what a packed tokenizer may unpack to; real ones pack to about a fifth.
	maxRatio = 32
)

// readFile reads a side file of a folder. A missing one is nil without an error.
func readFile(dir, name string, limit int) ([]byte, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: want a regular file", path)
	case info.Size() > int64(limit):
		return nil, fmt.Errorf("%s: want at most %d bytes, found %d", path, limit, info.Size())
	}
	return os.ReadFile(path)
}

// readVocab reads a folder's tokenizer. tokenizer.json comes first, as in the reference: fine-tunes change that file only.
func readVocab(dir string) (*tokenizer.Vocab, error) {
	for _, name := range []string{"tokenizer.json", "tokenizer.json.gz", "tokenizer.model"} {
		data, err := readFile(dir, name, maxTokenizer)
		if err != nil {
			return nil, err
		}
		if data == nil {
			continue
		}
		v, err := parseVocab(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
		return v, nil
	}
	return nil, nil
}

// parseVocab reads a tokenizer of any form by what is in it.
func parseVocab(data []byte) (*tokenizer.Vocab, error) {
	if len(data) > maxTokenizer {
		return nil, fmt.Errorf("want a tokenizer of at most %d bytes, found %d", maxTokenizer, len(data))
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		var err error
		if data, err = gunzip(data); err != nil {
			return nil, err
		}
	}
	if blanks := " \t\r\n"; bytes.HasPrefix(bytes.TrimLeft(data, blanks), []byte("{")) {
		return tokenizer.ParseJSON(data)
	}
	return tokenizer.ParseModel(data)
}

func gunzip(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	limit := min(maxTokenizer, maxRatio*len(packed))
	data, err := io.ReadAll(io.LimitReader(z, int64(limit)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("unpack: %w", err)
	case len(data) > limit:
		return nil, fmt.Errorf("unpack: want at most %d bytes from %d, found more", limit, len(packed))
	}
	return data, nil
}

// readTemplate reads a folder's chat template. chat_template.jinja comes before tokenizer_config.json, as in the reference.
func readTemplate(dir string) (string, error) {
	text, err := readFile(dir, "chat_template.jinja", maxSideFile)
	if err != nil || text != nil {
		return string(text), err
	}
	data, err := readFile(dir, "tokenizer_config.json", maxSideFile)
	if err != nil || data == nil {
		return "", err
	}
	var file struct {
		Template json.RawMessage `json:"chat_template"`
	}
	if err = json.Unmarshal(data, &file); err == nil {
		var s string
		if s, err = parseTemplate(file.Template); err == nil {
			return s, nil
		}
	}
	return "", fmt.Errorf("%s: %w", filepath.Join(dir, "tokenizer_config.json"), err)
}

// parseTemplate reads a template that is a string, or a list of named ones, of which "default" counts.
func parseTemplate(raw json.RawMessage) (string, error) {
	var s *string // stays nil for null
	if len(raw) == 0 {
		return "", nil
	}
	if json.Unmarshal(raw, &s) == nil {
		if s == nil {
			return "", nil
		}
		return *s, nil
	}
	var list []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return "", errors.New("chat_template: want a string or a list of {name, template}")
	}
	for _, t := range list {
		if t.Name == "default" {
			return t.Template, nil
		}
	}
	return "", fmt.Errorf(`chat_template: want one named "default", found %d others`, len(list))
}

// endIDs is the ascending union of lists and the ids that v ends a text or a turn with. v may be nil.
func endIDs(v *tokenizer.Vocab, lists ...[]int32) ([]int32, error) {
	var ids []int32
	for _, l := range lists {
		ids = append(ids, l...)
	}
	if v != nil {
		ids = append(ids, role(v, v.EOS, "<eos>"), role(v, v.EndOfTurn, "<end_of_turn>"))
	}
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id int32) bool { return id == -1 })
	if len(ids) > 0 && ids[0] < 0 {
		return nil, fmt.Errorf("eos_token_id: want ids from 0, found %d", ids[0])
	}
	return ids, nil
}

// role is id, or the piece spelled text when a source names none.
func role(v *tokenizer.Vocab, id int32, text string) int32 {
	if id >= 0 {
		return id
	}
	return int32(slices.IndexFunc(v.Pieces, func(p tokenizer.Piece) bool { return p.Text == text }))
}
