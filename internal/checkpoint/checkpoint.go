// Package checkpoint opens any source of a Gemma 2 model (a Hugging Face folder, a GGUF file, a file of our own, bytes in
// memory) as config, tensors, tokenizer and template, and writes and verifies files of our own.
//
// Everything is validated before use: sources are untrusted. Tensor data aliases the mapped file and is never copied.
// Mapped bytes are used as numbers, so the host must be little-endian (amd64, arm64), as the kernels demand anyway.
//
// It must not know how a layer is computed, how a text is encoded, or where a path came from.
package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// Format says what kind of source a checkpoint came from.
type Format string

// The formats that Open and OpenText know.
const (
	HuggingFace Format = "huggingface" // folder with config.json and safetensors
	GGUF        Format = "gguf"        // written by another program
	Own         Format = "systemgemma" // written by Write
	Tokenizer   Format = "tokenizer"   // a bare tokenizer.json(.gz) or tokenizer.model
)

// Checkpoint is an opened source. Slices of Tensors and Matrices are valid until Close.
type Checkpoint struct {
	Format    Format
	Path      string // as given
	Config    arch.Config
	HasConfig bool // false: opened for its text only

	// Tensors holds the parameters under their GGUF names, row-major. Of a file of our own these are the norms only.
	Tensors map[string]Tensor
	// NormPlusOne says that norms are stored as w+1 (GGUF) and not as w (Hugging Face).
	NormPlusOne bool
	// Matrices holds the matrices of a file of our own, ready for the kernels, under the same names.
	Matrices map[string]quant.Matrix

	Vocab        *tokenizer.Vocab // nil: the source has none; not yet validated when it comes from GGUF (tokenizer.New does)
	ChatTemplate string           // "": none
	SystemMode   string           // of a file of our own: how it treats system prompts; "": not said
	EOS          []int32          // every id that ends a generation, from all places that name one, ascending
	Generation   Generation

	Report   string            // of a file of our own: its quality report (Draft.SetReport), whoever wrote it; "": none
	Metadata map[string]string // what the source says about itself, for people to read
	Notes    []string          // what was found and left out, and why that is harmless

	ignoreUnknown bool // tensors that the model lacks are noted and not refused

	maps []*mmap.File
	seal *seal // checksums of a file of our own
	int8 bool  // the folder may hold int8 weights with scales

	arriving Arriving // nil: weights are in files
}

// ErrNoWeights says that a source has a tokenizer or a template, but no weights.
var ErrNoWeights = errors.New("no weights in these files")

// Open opens a model: a Hugging Face folder or a .gguf file, ours or another program's.
func Open(path string) (*Checkpoint, error) { return open(&Checkpoint{Path: path}, true) }

// OpenIgnoringUnknown is Open for sources with tensors that the model of their config lacks: Notes name them.
func OpenIgnoringUnknown(path string) (*Checkpoint, error) {
	return open(&Checkpoint{Path: path, ignoreUnknown: true}, true)
}

// Arriving is weights of a Hugging Face folder that are not in it, but come while they are used (package stream).
type Arriving interface {
	// Data is the place of a file of safetensors, which holds its header at least.
	Data(name string) ([]byte, bool)
	// Identity tells sources of weights apart.
	Identity() []byte
}

// OpenArriving opens a Hugging Face folder whose weights come from elsewhere. Weights that must be read to be understood, as int8
// with scales, are refused.
func OpenArriving(path string, weights Arriving, ignoreUnknown bool) (*Checkpoint, error) {
	return open(&Checkpoint{Path: path, ignoreUnknown: ignoreUnknown, arriving: weights}, true)
}

// OpenText opens only what tokenizing and rendering need. Besides what Open takes, a folder without weights, a GGUF file
// without tensors, a tokenizer.json(.gz) and a tokenizer.model will do.
func OpenText(path string) (*Checkpoint, error) { return open(&Checkpoint{Path: path}, false) }

// OpenBytes opens a GGUF file that is in memory, without copying tensor data that is 64-byte aligned. name stands for the
// path in errors. The checkpoint aliases data.
func OpenBytes(name string, data []byte) (*Checkpoint, error) {
	c := &Checkpoint{Path: name}
	if err := c.openGGUF(data, true); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// OpenSection opens a file of our own that is a part of another file: size bytes from offset on, which is a multiple of
// mmap.SectionAlign. The part is mapped.
func OpenSection(path string, offset, size int64) (*Checkpoint, error) {
	c := &Checkpoint{Path: path}
	m, err := mmap.OpenSection(path, offset, size)
	if err != nil {
		return nil, err // names the path already
	}
	c.maps = append(c.maps, m)
	err = mmap.Guard(func() error { return c.openGGUF(m.Data, true) })
	if err == nil && c.Format != Own {
		err = errors.New("want a model in this program's own format, found another one's")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: model of %d bytes from %d on: %w", path, size, offset, err), c.Close())
	}
	return c, nil
}

// Close ends the mappings that Tensors and Matrices alias.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, m := range c.maps {
		errs = append(errs, m.Close())
	}
	c.maps = nil
	return errors.Join(errs...)
}

// Release says that t was read and will not be needed soon, so that a mapped source does not count as this process' memory.
// t may still be read.
func (c *Checkpoint) Release(t *Tensor) { c.ReleaseTo(t, len(t.Data)) }

// ReleaseTo is Release for the first n bytes of t: who reads a matrix in pieces calls it behind each with all that was read,
// since a piece brings pages before it back.
func (c *Checkpoint) ReleaseTo(t *Tensor, n int) {
	if len(c.maps) > 0 { // bytes that a caller holds in memory are not ours to give back
		mmap.Release(t.Data[:n])
	}
}

// Expect says that t will be read soon, so that the system may begin to read a mapped source from the disk.
func (c *Checkpoint) Expect(t *Tensor) {
	if len(c.maps) > 0 {
		mmap.Expect(t.Data)
	}
}

// Maps says whether info is that of a file of weights that the checkpoint reads from.
func (c *Checkpoint) Maps(info os.FileInfo) bool {
	return slices.ContainsFunc(c.maps, func(m *mmap.File) bool { return os.SameFile(m.Info, info) })
}

// Identity tells sources of weights apart: names, sizes and times of change of mapped files, the bytes of others.
func (c *Checkpoint) Identity() []byte {
	if c.arriving != nil {
		return c.arriving.Identity()
	}
	if len(c.maps) > 0 {
		var b []byte
		for _, m := range c.maps {
			b = fmt.Appendf(b, "%q %d %d\n", m.Info.Name(), m.Info.Size(), m.Info.ModTime().UnixNano())
		}
		return b
	}
	h := sha256.New() // which never returns an error
	for _, name := range slices.Sorted(maps.Keys(c.Tensors)) {
		h.Write([]byte(name))
		h.Write(c.Tensors[name].Data)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Matrices)) {
		h.Write([]byte(name))
		h.Write(c.Matrices[name].Data)
	}
	return h.Sum(nil)
}

// Tensor returns the parameter of that GGUF name.
func (c *Checkpoint) Tensor(name string) (Tensor, bool) {
	t, ok := c.Tensors[name]
	return t, ok
}

// open opens c.Path, with its weights or only for its text.
func open(c *Checkpoint, weights bool) (*Checkpoint, error) {
	info, err := os.Stat(c.Path)
	if err != nil {
		return nil, err
	}
	err = mmap.Guard(func() error {
		if info.IsDir() {
			return c.openFolder(weights)
		}
		return c.openFile(weights)
	})
	if errors.Is(err, mmap.ErrFault) {
		err = fmt.Errorf("%s: %w", c.Path, err)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// openFile opens a single file by what is in it, whatever its name.
func (c *Checkpoint) openFile(weights bool) error {
	m, err := mmap.Open(c.Path)
	if err != nil {
		return err // names the path already
	}
	c.maps = append(c.maps, m)
	switch {
	case bytes.HasPrefix(m.Data, []byte("GGUF")):
		err = c.openGGUF(m.Data, weights)
	case weights && filepath.Ext(c.Path) == ".safetensors":
		err = errors.New("want the folder that holds this file and its config.json")
	case weights && pickled(c.Path):
		err = errPickle
	case weights:
		err = fmt.Errorf("want a GGUF file or a folder with config.json and safetensors, found a file that begins with %.8q", m.Data[:min(8, len(m.Data))])
	default:
		c.Format = Tokenizer
		if c.Vocab, err = parseVocab(m.Data); err == nil {
			c.EOS, err = endIDs(c.Vocab)
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	return nil
}

// openGGUF opens a GGUF file, ours or another program's.
func (c *Checkpoint) openGGUF(data []byte, weights bool) error {
	f, err := gguf.Parse(data)
	if err != nil {
		return err
	}
	c.NormPlusOne = true
	if isOwn(f) {
		c.Format = Own
		return c.readOwn(f, data, weights)
	}
	c.Format = GGUF
	return c.readForeign(f, weights)
}
