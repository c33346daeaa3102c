// Package peft opens LoRA adapters, PEFT folders and GGUF files, and merges them into rows of their base model's weights.
//
// It owns an adapter's meaning: which matrix it changes and by how much (LoRA, arXiv:2106.09685; rank-stabilised scales,
// arXiv:2312.03732; DoRA, arXiv:2402.09353; complete replacements). Everything is checked before use: an adapter that was made
// for another model, or asks for what can't be honoured, is refused by the name of its tensor or key.
//
// It must not know how merged rows are stored, nor how a running model applies an adapter.
package peft

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
)

const (
	configFile  = "adapter_config.json"
	weightsFile = "adapter_model.safetensors"
	pickleFile  = "adapter_model.bin"
	maxConfig   = 1 << 20 // bytes; a config has 1 to 20 KB
)

// Adapter is an opened adapter. Its modules' data alias the file and are valid until Close.
type Adapter struct {
	Path    string
	Base    string             // what the file calls its base model; "": not said
	Digest  string             // SHA-256 of config and weights, hexadecimal
	Modules map[string]*Module // by the GGUF name of the parameter that each changes: at least one
	Notes   []string           // what was found and left out, and why that is harmless

	copies map[string]checkpoint.Tensor // the base's own weights as PEFT puts them beside some adapters, by GGUF name
	tied   bool                         // the base model's head is its embedding
	file   *mmap.File
}

// Module is the change of one parameter: a replacement, or factors of a low rank.
type Module struct {
	Name       string // of the parameter, in GGUF
	Rows, Cols int    // a norm is one row
	Rank       int    // 0: a replacement
	Scale      float32

	replacement checkpoint.Tensor // [Rows][Cols] when Rank is 0
	left        checkpoint.Tensor // [Rows][Rank], or the other way round when leftTurned
	right       checkpoint.Tensor // [Rank][Cols], or the other way round when rightTurned
	leftTurned  bool
	rightTurned bool
	magnitude   []float32 // [Rows] of DoRA; nil: none

	decode sync.Once
	factor []float32 // right, [Rank][stride()], after decode
}

// Open opens the adapter at path, a PEFT folder or a GGUF file, for a base model of config c.
func Open(path string, c *arch.Config) (*Adapter, error) {
	a := &Adapter{Path: path, Modules: map[string]*Module{}, copies: map[string]checkpoint.Tensor{}, tied: c.TieEmbeddings}
	err := mmap.Guard(func() error { return a.open(c) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("adapter %s: %w", path, err), a.Close())
	}
	return a, nil
}

// Close ends the mapping that the modules alias.
func (a *Adapter) Close() error {
	if a.file == nil {
		return nil
	}
	return a.file.Close()
}

func (a *Adapter) open(c *arch.Config) error {
	info, err := os.Stat(a.Path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("want a PEFT folder or a GGUF adapter, found nothing: %w", os.ErrNotExist)
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return a.openFolder(c)
	}
	if a.file, err = mmap.Open(a.Path); err != nil {
		return err
	}
	if !bytes.HasPrefix(a.file.Data, []byte("GGUF")) {
		return fmt.Errorf("want a PEFT folder (%s, %s) or a GGUF adapter, found a file that begins with %.8q", configFile, weightsFile, a.file.Data[:min(8, len(a.file.Data))])
	}
	a.seal(nil)
	return a.readGGUF(a.file.Data, c)
}

func (a *Adapter) openFolder(c *arch.Config) error {
	text, err := readConfig(filepath.Join(a.Path, configFile))
	if err != nil {
		return err
	}
	cfg, err := parseConfig(text)
	if err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	a.file, err = mmap.Open(filepath.Join(a.Path, weightsFile))
	if errors.Is(err, os.ErrNotExist) {
		if _, e := os.Stat(filepath.Join(a.Path, pickleFile)); e == nil {
			return fmt.Errorf("%s: want %s: a pickle file can run code and is not read; save the adapter with safe_serialization=True", pickleFile, weightsFile)
		}
	}
	if err != nil {
		return err
	}
	a.seal(text)
	return a.readPEFT(cfg, a.file.Data, c)
}

// readConfig reads a folder's config.
func readConfig(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s: missing; want a PEFT folder (%s, %s) or a GGUF adapter", path, configFile, weightsFile)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxConfig:
		return nil, fmt.Errorf("%s: want a regular file of at most %d bytes", path, maxConfig)
	}
	return os.ReadFile(path)
}

// seal makes the digest.
func (a *Adapter) seal(config []byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", len(config))
	h.Write(config)
	h.Write(a.file.Data)
	a.Digest = hex.EncodeToString(h.Sum(nil))
}
