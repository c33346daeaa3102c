package models

import (
	"fmt"
	"os"
	"time"

	"github.com/systemgemma/systemgemma"
)

// Facts are what a list tells of a model beyond what its file's name and size say.
type Facts struct {
	SystemMode string                  `json:"system_mode,omitempty"` // how system prompts are rendered
	Quality    *systemgemma.Divergence `json:"quality,omitempty"`     // over the whole text of the report in the file; nil: it has none
	Problem    string                  `json:"problem,omitempty"`     // why the file does not tell
}

// factsRecord is what the beginning of a file said, as it was then.
type factsRecord struct {
	Reader  int       `json:"reader"` // how it was read: another way may find something else
	Path    string    `json:"path"`
	Size    int64     `json:"size"`
	Changed time.Time `json:"changed"`
	Facts
}

// factsReader changes whenever the beginning of the same file is understood otherwise.
const factsReader = 1

func (s Store) factsPath(path string) string { return s.state("facts", key(s.Home, path)+".json") }

// Look fills the facts of models. The beginning of a file is read once, and what it says remembered for as long as its size and time
// are the same. A store that can't be written reads it each time.
func (s Store) Look(all []Model) {
	for i := range all {
		m := &all[i]
		m.Facts = s.facts(m.Path)
		carried, err := s.Settings(m)
		switch {
		case err != nil:
			m.Problem = err.Error()
		case carried.SystemMode != "":
			m.SystemMode = carried.SystemMode
		}
	}
}

func (s Store) facts(path string) Facts {
	info, err := os.Stat(path)
	if err != nil {
		return Facts{Problem: err.Error()}
	}
	x := factsRecord{}
	if readState(s.factsPath(path), &x) && x.Reader == factsReader && x.Path == path && x.Size == info.Size() && x.Changed.Equal(info.ModTime()) {
		return x.Facts
	}
	h, err := systemgemma.ReadHeader(path)
	if err != nil {
		return Facts{Problem: err.Error()} // not remembered: the next time it may be readable
	}
	if h.Version > systemgemma.FormatVersion {
		return Facts{Problem: fmt.Sprintf("a newer program made it (version %d of the format, this program reads %d)", h.Version, systemgemma.FormatVersion)}
	}
	x = factsRecord{Reader: factsReader, Path: path, Size: info.Size(), Changed: info.ModTime(), Facts: Facts{SystemMode: h.SystemMode}}
	if h.Quality != nil {
		x.Quality = &h.Quality.All
	}
	_ = writeState(s.factsPath(path), x) // one that can't be remembered is read again
	return x.Facts
}
