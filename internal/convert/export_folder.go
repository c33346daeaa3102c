package convert

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
)

// folder is a folder in the making: PATH.partial, which gets its name when all files are in it.
type folder struct {
	path      string
	overwrite bool
}

func (f *folder) partial() string       { return filepath.Clean(f.path) + partialSuffix }
func (f *folder) in(name string) string { return filepath.Join(f.partial(), name) }

// begin refuses a path that can't be, and makes the folder or goes on with what an earlier attempt left in it.
func (f *folder) begin(source *checkpoint.Checkpoint, names []string) error {
	info, err := os.Stat(f.path)
	switch {
	case err == nil && isSource(info, source.Path):
		return fmt.Errorf("%s: is the source itself; choose another name", f.path)
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s: want the name of a folder, found a file", f.path)
	case err == nil && !f.overwrite:
		return fmt.Errorf("%s: %w; choose another name, or say that it may be replaced", f.path, ErrExists)
	case err == nil:
		if err := replaceable(f.path); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.Mkdir(f.partial(), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	list, err := os.ReadDir(f.partial())
	if err != nil {
		return err
	}
	for _, x := range list {
		name := strings.TrimSuffix(strings.TrimSuffix(x.Name(), journalSuffix), partialSuffix)
		if slices.Contains(names, name) && x.Type().IsRegular() {
			continue
		}
		if !x.Type().IsRegular() || !belongs(name) {
			return fmt.Errorf("%s: no part of the folder in the making; remove it", f.in(x.Name()))
		}
		if err := os.Remove(f.in(x.Name())); err != nil { // of an attempt with other options
			return err
		}
	}
	return nil
}

// isSource says whether info is the folder of the source.
func isSource(info os.FileInfo, source string) bool {
	other, err := os.Stat(source)
	return err == nil && os.SameFile(info, other)
}

// replaceable refuses a folder that holds anything but a checkpoint: whoever mistypes a path must lose nothing.
func replaceable(path string) error {
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, x := range list {
		if !x.Type().IsRegular() || !belongs(x.Name()) {
			return fmt.Errorf("%s: want a folder that holds a checkpoint only, found %.60q in it; choose another name", path, x.Name())
		}
	}
	return nil
}

// belongs says whether a file of that name is one of a checkpoint.
func belongs(name string) bool {
	switch name {
	case "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
		"added_tokens.json", "chat_template.jinja", "model.safetensors.index.json", "README.md":
		return true
	}
	return strings.HasPrefix(name, "model") && filepath.Ext(name) == ".safetensors"
}

// write makes a small file.
func (f *folder) write(s checkpoint.SideFile) error {
	file, err := os.Create(f.in(s.Name))
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<16)
	if err := s.Write(w); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", f.in(s.Name), err), file.Close())
	}
	return errors.Join(w.Flush(), file.Sync(), file.Close())
}

// finish gives the folder its name. One that it replaces is put aside first: there is no way to swap two on all systems.
func (f *folder) finish() error {
	if err := checkpoint.SyncFolder(f.partial()); err != nil {
		return err
	}
	old := filepath.Clean(f.path) + "." + rand.Text() + ".old"
	replaced := false
	if _, err := os.Stat(f.path); err == nil {
		if err := replaceable(f.path); err != nil {
			return err
		}
		if err := os.Rename(f.path, old); err != nil {
			return err
		}
		replaced = true
	}
	if err := os.Rename(f.partial(), f.path); err != nil {
		if replaced {
			err = errors.Join(err, os.Rename(old, f.path))
		}
		return err
	}
	if replaced {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	return checkpoint.SyncFolder(filepath.Dir(filepath.Clean(f.path)))
}
