// Package persona keeps system prompts by name: one text file each in a folder beside the settings file, that people can read and edit.
//
// It must not know what a chat is, nor where the folder lies: the caller says.
package persona

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
)

const (
	maxText = 1 << 20 // bytes of a persona
	maxName = 64      // bytes of a name
	suffix  = ".txt"
)

// Folder keeps personas in the folder at this path, as NAME.txt. It is made when the first one is saved. Processes may share it: a file
// is replaced as a whole.
type Folder string

// namePattern is what every file system takes and no shell reads otherwise. Blanks stand inside only.
var namePattern = regexp.MustCompile(`^[\pL\pN](?:[\pL\pN ._-]*[\pL\pN_-])?$`)

// deviceNames mean devices on Windows, whatever the suffix.
var deviceNames = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$`)

// CheckName reports a name that can't be kept.
func CheckName(name string) error {
	word, _, _ := strings.Cut(name, " ")
	switch {
	case len(name) > maxName || !utf8.ValidString(name) || !namePattern.MatchString(name):
		return fmt.Errorf("persona name: want letters, digits and inside them blanks, dots, - and _, at most %d bytes, found %.80q", maxName, name)
	case deviceNames.MatchString(name):
		return fmt.Errorf("persona name %q: means a device on Windows; choose another", name)
	case word == "add" || word == "delete":
		return fmt.Errorf("persona name %q: begins with a word of the command /persona; choose another", name)
	}
	return nil
}

func (f Folder) path(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	return filepath.Join(string(f), name+suffix), nil
}

// List returns the names in order. Files that can't be personas are left out.
func (f Folder) List() ([]string, error) {
	files, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		if name, ok := strings.CutSuffix(file.Name(), suffix); ok && !file.IsDir() && CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if c := strings.Compare(strings.ToLower(a), strings.ToLower(b)); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return names, nil
}

// Read returns a persona. The last line end of its file is no part of it.
func (f Folder) Read(name string) (string, error) {
	path, err := f.path(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no persona %s; there %s", name, f.known())
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s: want a file, found a folder or device", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(file, maxText+1))
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if err := check(text); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// known says which personas there are.
func (f Folder) known() string {
	names, err := f.List()
	if err != nil || len(names) == 0 {
		return "are none"
	}
	more := ""
	if len(names) > 10 {
		names, more = names[:10], " ..."
	}
	return "are " + strings.Join(names, ", ") + more
}

// check reports a text that is no system prompt.
func check(text string) error {
	switch {
	case len(text) > maxText:
		return fmt.Errorf("want at most %d bytes, found more", maxText)
	case !utf8.ValidString(text):
		return errors.New("want UTF-8")
	case strings.TrimSpace(text) == "":
		return errors.New("want a system prompt, found nothing")
	}
	return nil
}

// Save makes or replaces a persona as a whole, and tells which of the two.
func (f Folder) Save(name, text string) (replaced bool, err error) {
	path, err := f.path(name)
	if err != nil {
		return false, err
	}
	if err := check(text); err != nil {
		return false, err
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return false, err
	}
	_, err = os.Stat(path)
	return err == nil, wholefile.Write(path, 0o600, func(w io.Writer) error { // as private as chats
		_, err := io.WriteString(w, text+"\n")
		return err
	})
}

// Delete removes a persona.
func (f Folder) Delete(name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("no persona %s; there %s", name, f.known())
}
