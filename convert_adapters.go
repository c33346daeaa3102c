package systemgemma

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint/peft"
)

// AdapterFile is a LoRA adapter to be merged, a PEFT folder or a GGUF file, at a strength.
type AdapterFile struct {
	Path  string
	Scale float32 // 1 is what it was trained for
}

// AdapterChange is how much merging changed one parameter.
type AdapterChange struct {
	Name     string  `json:"name"`     // of the parameter, as llama.cpp names it
	Relative float64 `json:"relative"` // |merged - base| / |base|, Frobenius norms
}

// openAdapters opens the adapters that are to be merged, for the job and for what the files say about themselves.
func (c *conversion) openAdapters(list []AdapterFile) error {
	if len(list) == 0 {
		return nil
	}
	if err := fitsAdapters(c.ck); err != nil {
		return err
	}
	var uses []peft.Use
	var id, about []string
	for _, f := range list {
		if math.IsNaN(float64(f.Scale)) || math.IsInf(float64(f.Scale), 0) {
			return fmt.Errorf("adapter %s: want a finite scale, found %v", f.Path, f.Scale)
		}
		a, err := peft.Open(f.Path, &c.ck.Config)
		if err != nil {
			return err
		}
		c.adapters = append(c.adapters, a)
		uses = append(uses, peft.Use{Adapter: a, Scale: f.Scale})
		id = append(id, fmt.Sprintf("%s*%v", a.Digest, f.Scale))
		about = append(about, fmt.Sprintf("%s sha256:%s scale %v", filepath.Base(filepath.Clean(f.Path)), a.Digest, f.Scale))
		for _, n := range a.Notes {
			c.result.Warnings = append(c.result.Warnings, "adapter "+f.Path+": "+n)
		}
	}
	m, err := peft.NewMerger(uses, c.ck.NormPlusOne)
	if err != nil {
		return err
	}
	c.merger, c.adapterID, c.aboutAdapters = m, strings.Join(id, " "), strings.Join(about, "\n")
	return nil
}

// adapterChanges tells what the adapters did, once all rows have been through them.
func (c *conversion) adapterChanges() {
	if c.merger == nil || c.result.Resumed > 0 {
		return // rows that an earlier attempt made are not among the sums
	}
	for _, x := range c.merger.Changes() {
		c.result.AdapterChanges = append(c.result.AdapterChanges, AdapterChange(x))
	}
}

func (c *conversion) closeAdapters() (err error) {
	for _, a := range c.adapters {
		err = errors.Join(err, a.Close())
	}
	return err
}
