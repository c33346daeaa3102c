package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
)

// maxFile bounds a saved chat, in bytes: about a thousand times a full context.
const maxFile = 64 << 20

// saved is a chat in a file.
type saved struct {
	System   string                `json:"system"`
	Messages []systemgemma.Message `json:"messages"` // user and assistant in turn
	Options  settings              `json:"options"`
}

func (s *Session) cmdSave(path string) Reply {
	f := saved{System: s.systemPrompt(), Options: s.settings, Messages: []systemgemma.Message{}}
	for _, x := range s.done {
		f.Messages = append(f.Messages, systemgemma.Message{Role: "user", Content: x.user}, systemgemma.Message{Role: "assistant", Content: x.assistant})
	}
	if err := f.write(path); err != nil {
		return Reply{Err: fmt.Errorf("/save: %w", err)}
	}
	return Reply{Text: fmt.Sprintf("(saved %d messages in %s)", len(f.Messages), path)}
}

func (s *Session) cmdLoad(path string) Reply {
	f, err := readSaved(path)
	if err != nil {
		return Reply{Err: fmt.Errorf("/load: %w", err)}
	}
	s.setSystem(f.System)
	s.settings, s.done = f.Options, nil
	for i := 0; i < len(f.Messages); i += 2 {
		s.done = append(s.done, exchange{f.Messages[i].Content, f.Messages[i+1].Content})
	}
	return Reply{Text: fmt.Sprintf("(loaded %d messages from %s)", len(f.Messages), path)}
}

// write makes or replaces path as a whole. A file that is no saved chat is not replaced.
func (f *saved) write(path string) error {
	if _, err := readSaved(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; choose another name", err)
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return wholefile.Write(path, 0o600, func(w io.Writer) error { // chats are private
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

// readSaved reads and checks a saved chat.
func readSaved(path string) (*saved, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: want a file, found a folder or device", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	f, err := parseSaved(data)
	if err != nil {
		return nil, fmt.Errorf("%s: not a saved chat: %w", path, err)
	}
	return f, nil
}

// parseSaved checks all that Load relies on.
func parseSaved(data []byte) (*saved, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("want at most %d bytes", maxFile)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("want UTF-8")
	}
	var f saved
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one JSON object, found more after it")
	}
	if f.Messages == nil {
		return nil, errors.New("messages: want a list, found none")
	}
	for i, m := range f.Messages {
		if want := []string{"user", "assistant"}[i%2]; m.Role != want {
			return nil, fmt.Errorf("messages[%d]: want role %s (user and assistant in turn), found %q", i, want, m.Role)
		}
	}
	if len(f.Messages)%2 != 0 {
		return nil, errors.New("messages: want an answer to the last one, found none")
	}
	if err := f.Options.Validate(); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	return &f, nil
}
