package systemgemma

import (
	"fmt"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/text/template"
)

// Header is what the beginning of a .gguf file says of how the model is used.
type Header struct {
	Version    int      // of the product's own format; 0: a file of another format
	SystemMode string   // as in Info; "" if this program does not read that version
	Quality    *Quality // as in Info; nil: the file has no report
}

// ReadHeader reads the beginning of a .gguf file, for lists of many files: Describe tells more, in much more time. It does not tell whether
// the file can be opened.
func ReadHeader(path string) (Header, error) {
	h, err := checkpoint.ReadHeader(path)
	if err != nil {
		return Header{}, err
	}
	out := Header{Version: h.Version}
	if h.Version != 0 && h.Version != FormatVersion {
		return out, nil
	}
	t := Text{checkpoint: &checkpoint.Checkpoint{SystemMode: h.SystemMode, ChatTemplate: h.ChatTemplate}}
	mode, _, _, err := t.resolveMode(string(template.Auto), "")
	if err == nil {
		out.SystemMode = string(mode)
		out.Quality, err = parseReport(h.Report)
	}
	if err != nil {
		return Header{}, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}
