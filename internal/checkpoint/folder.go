package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
)

const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// ErrNotInOrder says that weights can't be used in the order in which they come.
var ErrNotInOrder = errors.New("these weights have to be there as a whole")

// openFolder opens a Hugging Face folder.
func (c *Checkpoint) openFolder(weights bool) error {
	c.Format = HuggingFace
	eos, err := c.readConfigs(weights)
	if err != nil {
		return err
	}
	if c.Vocab, err = readVocab(c.Path); err != nil {
		return err
	}
	if c.ChatTemplate, err = readTemplate(c.Path); err != nil {
		return err
	}
	if c.EOS, err = endIDs(c.Vocab, eos); err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	if !weights {
		if c.Vocab == nil {
			return fmt.Errorf("%s: want tokenizer.json, tokenizer.json.gz or tokenizer.model, found none of them", c.Path)
		}
		return nil
	}
	if c.int8 && c.arriving != nil {
		return fmt.Errorf("%s: int8 weights with scales: %w", c.Path, ErrNotInOrder)
	}
	source, err := c.openShards()
	if err != nil {
		return err
	}
	if err := c.bind(source, func(s spec) string { return s.hf }); err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	return c.checkText()
}

// readConfigs reads config.json, which a model needs, and generation_config.json, and returns the end ids of both.
func (c *Checkpoint) readConfigs(weights bool) (eos []int32, err error) {
	for _, file := range []struct {
		name     string
		required bool
		parse    func([]byte) ([]int32, error)
	}{
		{"config.json", weights, c.parseConfig},
		{"generation_config.json", false, c.parseGeneration},
	} {
		path := filepath.Join(c.Path, file.name)
		data, err := readFile(c.Path, file.name, maxConfig)
		if err == nil && data == nil && file.required {
			err = fmt.Errorf("%s: missing; want a Hugging Face folder with config.json, safetensors and a tokenizer", path)
		}
		if err != nil {
			return nil, err
		}
		if data == nil {
			continue
		}
		ids, err := file.parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		eos = append(eos, ids...)
	}
	return eos, nil
}

// openShards maps the folder's weights: the shards that an index lists, else the single file. Other .safetensors files in
// the folder are none of the checkpoint's.
func (c *Checkpoint) openShards() (map[string]Tensor, error) {
	index, err := readFile(c.Path, indexFile, maxIndex)
	if err != nil {
		return nil, err
	}
	source, ints := map[string]Tensor{}, map[string]safetensors.Tensor{}
	if index == nil {
		if err := c.openShard(singleFile, source, ints); errors.Is(err, os.ErrNotExist) {
			if c.hasPickle() {
				return nil, fmt.Errorf("%s: %w", c.Path, errPickle)
			}
			return nil, fmt.Errorf("%w: %w", ErrNoWeights, err)
		} else if err != nil {
			return nil, err
		}
		return source, joinScales(source, ints)
	}
	shardOf, err := parseIndex(index)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(c.Path, indexFile), err)
	}
	var shards []string
	for _, shard := range shardOf {
		shards = append(shards, shard)
	}
	slices.Sort(shards)
	origin := map[string]string{}
	for _, shard := range slices.Compact(shards) {
		part := map[string]Tensor{}
		if err := c.openShard(shard, part, ints); err != nil {
			return nil, err
		}
		for name, t := range part {
			source[name], origin[name] = t, shard
			if shardOf[name] != shard {
				return nil, fmt.Errorf("%s: tensor %.100s: want it in %q (from the index), found it here", filepath.Join(c.Path, shard), name, shardOf[name])
			}
		}
	}
	for name, shard := range shardOf {
		if origin[name] != shard {
			return nil, fmt.Errorf("%s: tensor %.100s: missing, though the index lists it; get the file again", filepath.Join(c.Path, shard), name)
		}
	}
	return source, joinScales(source, ints)
}

// errPickle explains why weights that are there are not read. It is no ErrNoWeights: they are there.
var errPickle = errors.New("weights in PyTorch's pickle format (.bin, .pt, .pth) are programs that run when they are read, so they are not; " +
	"get the safetensors of this model, or make them where you trust the file (transformers: model.save_pretrained)")

// pickled says whether a file is one that torch.save writes.
func pickled(path string) bool {
	return slices.Contains([]string{".bin", ".pt", ".pth"}, filepath.Ext(path))
}

// hasPickle says whether the folder has weights as PyTorch pickles them.
func (c *Checkpoint) hasPickle() bool {
	list, err := os.ReadDir(c.Path)
	return err == nil && slices.ContainsFunc(list, func(e os.DirEntry) bool { return pickled(e.Name()) && e.Name() != "training_args.bin" })
}

// maxIndex is the largest index in bytes; the 27B's has 43 KB.
const maxIndex = 1 << 20

// parseIndex reads which file holds which tensor. A file's name must not lead out of the folder.
func parseIndex(data []byte) (map[string]string, error) {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, err
	}
	if len(index.WeightMap) == 0 {
		return nil, errors.New("weight_map: want the tensors' files, found none")
	}
	for name, file := range index.WeightMap {
		if file != filepath.Base(file) || !filepath.IsLocal(file) || filepath.Ext(file) != ".safetensors" {
			return nil, fmt.Errorf("weight_map: %.100s: want the name of a .safetensors file in this folder, found %.100q", name, file)
		}
	}
	return index.WeightMap, nil
}

// Types of a checkpoint's tensors. Others belong to quantised checkpoints, which have tensors of other names too.
var fromSafetensors = map[safetensors.DType]gguf.Type{safetensors.F32: gguf.F32, safetensors.F16: gguf.F16, safetensors.BF16: gguf.BF16}

// shard is the bytes of a file of weights.
func (c *Checkpoint) shard(path string) ([]byte, error) {
	if c.arriving != nil {
		data, ok := c.arriving.Data(filepath.Base(path))
		if !ok {
			return nil, os.ErrNotExist
		}
		return data, nil
	}
	m, err := mmap.Open(path)
	if err != nil {
		return nil, err
	}
	c.maps = append(c.maps, m)
	return m.Data, nil
}

// openShard maps one file and adds its tensors to source, int8 weights also to ints: they have no scales yet.
func (c *Checkpoint) openShard(name string, source map[string]Tensor, ints map[string]safetensors.Tensor) error {
	path := filepath.Join(c.Path, name)
	data, err := c.shard(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: missing; get this file too: %w", path, err)
	}
	if err != nil {
		return err
	}
	f, err := safetensors.Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, t := range f.Tensors {
		typ, ok := fromSafetensors[t.DType]
		if c.int8 && t.DType == safetensors.I8 {
			typ, ok, ints[t.Name] = gguf.I8, true, t
		}
		if !ok {
			return fmt.Errorf("%s: tensor %.100s: want F32, F16 or BF16, found %s", path, t.Name, t.DType)
		}
		source[t.Name] = Tensor{Name: t.Name, Type: typ, Shape: t.Shape, Data: t.Data}
	}
	return nil
}

// checkText holds tokenizer and end ids to the model's vocabulary, so that no id leads past the embedding.
func (c *Checkpoint) checkText() error {
	if c.Vocab != nil && len(c.Vocab.Pieces) > c.Config.VocabSize {
		return fmt.Errorf("%s: tokenizer: want at most %d pieces (the embedding's rows), found %d", c.Path, c.Config.VocabSize, len(c.Vocab.Pieces))
	}
	c.EOS = slices.DeleteFunc(c.EOS, func(id int32) bool {
		over := int(id) >= c.Config.VocabSize
		if over {
			c.Notes = append(c.Notes, fmt.Sprintf("end id %d: left out, the model has ids up to %d", id, c.Config.VocabSize-1))
		}
		return over
	})
	return nil
}
