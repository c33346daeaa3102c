package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
)

// Header is what the beginning of a GGUF file says of how the model is used: enough for a list of many files.
type Header struct {
	Version int // of our own format; 0: another program's file

	SystemMode, ChatTemplate, Report string // as in Checkpoint; empty if Version is not LayoutVersion
}

// ReadHeader reads that. Neither tokenizer nor tensors are looked at: what it tells is no promise that the file can be opened.
func ReadHeader(path string) (h Header, err error) {
	m, err := mmap.Open(path)
	if err != nil {
		return h, err
	}
	err = mmap.Guard(func() error {
		if !bytes.HasPrefix(m.Data, []byte("GGUF")) {
			return fmt.Errorf("want a GGUF file, found one that begins with %.8q", m.Data[:min(8, len(m.Data))])
		}
		f, err := gguf.Parse(m.Data)
		if err != nil {
			return err
		}
		return h.read(f, m.Data)
	})
	if err != nil {
		return Header{}, errors.Join(fmt.Errorf("%s: %w", path, err), m.Close())
	}
	return h, m.Close()
}

func (h *Header) read(f *gguf.File, data []byte) error {
	m := &metadata{file: f}
	if isOwn(f) {
		if h.Version = m.int(versionKey, required); m.err != nil || h.Version != LayoutVersion {
			return m.err
		}
		if _, err := readSeal(f, data); err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		h.SystemMode = m.text(modeKey, "")
		h.Report = strings.TrimRight(m.text(reportKey, ""), " ")
	}
	h.ChatTemplate = m.text("tokenizer.chat_template", "")
	return m.err
}
