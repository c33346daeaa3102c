package tune

import (
	"os"
	"path/filepath"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// profileVersion changes whenever an older profile would mean something else.
const profileVersion = 1

// Profile is what was chosen for a model on a machine.
type Profile struct {
	Version int                `json:"version"`
	Model   string             `json:"model"` // its file
	Bytes   int64              `json:"bytes"`
	Changed time.Time          `json:"changed"`
	CPU     string             `json:"cpu"`
	CPUs    int                `json:"cpus"`
	Kernel  string             `json:"kernel"`
	Date    time.Time          `json:"date"`
	Tuning  systemgemma.Tuning `json:"tuning"`
}

// of fills in what a profile is for.
func of(path string, m systemgemma.Machine) Profile {
	p := Profile{Version: profileVersion, Model: path, CPU: m.CPU, CPUs: m.CPUs, Kernel: m.Kernel}
	if path == "" {
		p.Model = systemgemma.Mini
	}
	info, err := os.Stat(path)
	if err != nil { // mini, or a part of a program
		return p
	}
	if abs, err := filepath.Abs(path); err == nil {
		p.Model = abs
	}
	p.Bytes, p.Changed = info.Size(), info.ModTime()
	return p
}

// Save remembers a choice for the model at path.
func Save(s models.Store, path string, m systemgemma.Machine, t systemgemma.Tuning, now time.Time) error {
	p := of(path, m)
	p.Date, p.Tuning = now.UTC().Truncate(time.Second), t
	return s.SetTune(p.Model, p)
}

// Load returns what was chosen for the model at path, nil if nothing was: or for another file, another machine, other kernels.
func Load(s models.Store, path string, m systemgemma.Machine) *Profile {
	want, p := of(path, m), Profile{}
	if !s.Tune(want.Model, &p) {
		return nil
	}
	same := p.Version == want.Version && p.Model == want.Model && p.Bytes == want.Bytes && p.Changed.Equal(want.Changed) &&
		p.CPU == want.CPU && p.CPUs == want.CPUs && p.Kernel == want.Kernel
	if !same {
		return nil
	}
	return &p
}

// Forget drops what was chosen for the model at path, and tells whether anything was.
func Forget(s models.Store, path string) bool {
	return s.ForgetTune(of(path, systemgemma.Machine{}).Model)
}
