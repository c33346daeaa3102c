// Package config owns the files that set defaults for flags: where they lie, and what is in them, with the line of each value.
//
// It must not know what the keys mean, nor which commands there are: the caller checks them.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxSize bounds a file, in bytes.
const maxSize = 1 << 20

// Entry is one value of a file. A key before all tables has no Table.
type Entry struct {
	Table, Key string
	Value      string // as it would be written on a command line
	Path       string
	Line       int
}

// Where is "path:line".
func (e Entry) Where() string {
	if e.Line == 0 { // a table that has no line of its own
		return e.Path
	}
	return e.Path + ":" + strconv.Itoa(e.Line)
}

// Name is "table.key", or "key".
func (e Entry) Name() string {
	if e.Table == "" {
		return e.Key
	}
	return e.Table + "." + e.Key
}

// UserFile is the path of a user's file on a system (GOOS), "" where the environment doesn't tell: $XDG_CONFIG_HOME, else
// %AppData% on Windows, else ~/.config; below it systemgemma/config.toml.
func UserFile(goos string, getenv func(string) string) string {
	folder := getenv("XDG_CONFIG_HOME") // a relative one is no folder by the specification of base folders
	switch {
	case filepath.IsAbs(folder):
	case goos == "windows":
		folder = getenv("AppData")
	case getenv("HOME") != "":
		folder = filepath.Join(getenv("HOME"), ".config")
	default:
		folder = ""
	}
	if folder == "" {
		return ""
	}
	return filepath.Join(folder, "systemgemma", "config.toml")
}

// SystemFile is the path of the file for all users of a system (GOOS), "" where the environment doesn't tell.
func SystemFile(goos string, getenv func(string) string) string {
	if goos != "windows" {
		return "/etc/systemgemma/config.toml"
	}
	if folder := getenv("ProgramData"); folder != "" {
		return filepath.Join(folder, "systemgemma", "config.toml")
	}
	return ""
}

// Read gives the values of a file in its order; exists is false, without an error, if there is none. Errors name the line.
func Read(path string) (entries []Entry, exists bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, true, fmt.Errorf("config: %w", err)
	}
	if len(data) > maxSize {
		return nil, true, fmt.Errorf("config: %s: want at most %d bytes", path, maxSize)
	}
	entries, err = parse(path, string(data))
	return entries, true, err
}

func parse(path, text string) ([]Entry, error) {
	var entries []Entry
	var top map[string]toml.Primitive
	md, err := toml.Decode(text, &top)
	var syntax toml.ParseError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("config: %s:%d: %s", path, syntax.Position.Line, syntax.Message)
	case err != nil:
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	var errs []error
	var add func(table, key string, p toml.Primitive)
	add = func(table, key string, p toml.Primitive) {
		e := Entry{Table: table, Key: key, Path: path}
		var v scalar
		if err := md.PrimitiveDecode(p, &v); errors.As(err, &syntax) {
			e.Line = syntax.Position.Line
		}
		var inner map[string]toml.Primitive
		switch {
		case v.text != nil:
			e.Value = *v.text
			entries = append(entries, e)
		case v.found == aTable && table == "" && md.PrimitiveDecode(p, &inner) == nil:
			for k, p := range inner {
				add(key, k, p)
			}
		default:
			errs = append(errs, fmt.Errorf("config: %s: %s: want one text, number, true or false, found %s", e.Where(), e.Name(), v.found))
		}
	}
	for key, p := range top {
		add("", key, p)
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return entries, errors.Join(errs...)
}

// aTable is what scalar finds in tables.
const aTable = "a table"

// scalar takes one value. Refusing it is how the decoder tells on which line it stands.
type scalar struct {
	text  *string
	found string
}

// UnmarshalTOML implements toml.Unmarshaler.
func (s *scalar) UnmarshalTOML(v any) error {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case int64:
		text = strconv.FormatInt(v, 10)
	case float64:
		text = strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		text = strconv.FormatBool(v)
	case []any:
		s.found = "a list"
		return errPosition
	case map[string]any:
		s.found = aTable
		return errPosition
	case []map[string]any:
		s.found = "a list of tables"
		return errPosition
	default:
		s.found = "a date"
		return errPosition
	}
	s.text = &text
	return errPosition
}

var errPosition = errors.New("position")
