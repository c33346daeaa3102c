package peft

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
)

// openBytes opens a folder's two files, or a GGUF adapter, from memory.
func openBytes(config, weights []byte) error {
	c := tiny()
	a := &Adapter{Modules: map[string]*Module{}, copies: map[string]checkpoint.Tensor{}, tied: true}
	if config == nil {
		if err := a.readGGUF(weights, c); err != nil {
			return err
		}
	} else {
		cfg, err := parseConfig(config)
		if err != nil {
			return err
		}
		if err := a.readPEFT(cfg, weights, c); err != nil {
			return err
		}
	}
	m, err := NewMerger([]Use{{a, 0.5}}, false)
	if err != nil {
		return err
	}
	for name, change := range m.changes { // what was accepted must be usable
		row := make([]float32, change.cols)
		if err := m.Row(name, change.rows-1, row); err != nil {
			return err
		}
	}
	m.Changes()
	return nil
}

func FuzzFolder(f *testing.F) {
	a := plain(q0, 2, 12, 8)
	a.addHead()
	dir := a.write(f)
	config, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		f.Fatal(err)
	}
	weights, err := os.ReadFile(filepath.Join(dir, weightsFile))
	if err != nil {
		f.Fatal(err)
	}
	if err := openBytes(config, weights); err != nil {
		f.Fatal(err)
	}
	f.Add(config, weights)
	f.Add([]byte(`{"peft_type":"LORA","r":2,"target_modules":".*(q|v)_proj","rank_pattern":{"x":1},"layers_to_transform":[0],"modules_to_save":["norm"]}`), weights)
	f.Fuzz(func(_ *testing.T, config, weights []byte) {
		if config == nil {
			config = []byte{}
		}
		_ = openBytes(config, weights)
	})
}

func FuzzGGUF(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "lora", "plain-r4-qv.gguf"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:400])
	f.Fuzz(func(_ *testing.T, data []byte) { _ = openBytes(nil, data) })
}
