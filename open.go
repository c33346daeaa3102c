package systemgemma

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/decode/constrained"
	"github.com/systemgemma/systemgemma/internal/engine"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

// Mini is the name of the embedded model, a tiny Gemma 2 that obeys system prompts. It is also what an empty name means.
const Mini = "mini"

// Preset names a trade of exactness for speed.
type Preset string

const (
	// PresetDefault runs a file as it is: float weights in float32 arithmetic, int8 weights with activations rounded to int8.
	PresetDefault Preset = ""
	// PresetExact multiplies all weights with unrounded float32 activations, and keeps keys and values in float32.
	PresetExact Preset = "exact"
	// PresetSpeed rounds the activations that bfloat16 weights are multiplied with to bfloat16, as the dot product of bfloat16
	// wants that newer CPUs have: about twice as fast there in long prompts, elsewhere as fast as without; the bits are the same
	// on all. Other weights are multiplied as by default.
	PresetSpeed Preset = "speed"
	// PresetMemory keeps keys and values in int8, and none of ended requests. PresetMemoryExtreme also bounds the context to 2,048 tokens
	// and runs one request at a time. What Options say otherwise counts. Weights stay as the file has them: Convert makes smaller ones.
	PresetMemory        Preset = "memory"
	PresetMemoryExtreme Preset = "memory_extreme"
	// PresetAuto is the first of PresetDefault, PresetMemory and PresetMemoryExtreme with which the model and one full context fit into
	// the memory that this machine has available now. Model.Preset tells which, and why.
	PresetAuto Preset = "auto"
)

// Presets are the names that a Preset may have.
func Presets() []Preset {
	return []Preset{PresetExact, PresetSpeed, PresetMemory, PresetMemoryExtreme, PresetAuto}
}

// arithmetic is how a model of that preset multiplies.
func (p Preset) arithmetic() gemma2.Options {
	return gemma2.Options{Exact: p == PresetExact, Rounded: p == PresetSpeed}
}

// Options say how a model is opened. The zero value, and nil, mean defaults.
type Options struct {
	// Threads is the number of threads that compute. 0: one for each processor that this process may use; on a machine
	// with several kinds of cores, for each of the fastest kind.
	Threads int
	// Cores are the processors that those threads stay on, but one, which is the caller's; Linux only. Empty: the fastest kind of
	// Machine.CoreKinds if Threads are not more, else all.
	Cores  []int
	Preset Preset
	// SystemMode says how system prompts are rendered: systemgemma2, merge, merge-nl, merge-space, turn, developer-turn,
	// exchange, strict, custom (needs Template) or auto (what the file says). Empty: auto.
	SystemMode string
	// Template is the text of a Jinja chat template, used in mode custom and, when SystemMode is empty, instead of the file's.
	Template string
	// ContextLength bounds prompt and answer together, in tokens. 0: what the model was trained for; more is refused.
	ContextLength int
	// KVType is the number type of cached keys and values: f32, f16 or int8. Empty: f16 for quantised files, else f32.
	KVType string
	// KVMemory bounds the bytes of cached keys and values of all requests. Those that don't fit beside running ones wait, and
	// without ContextLength the context is as long as fits. 0: no bound but the context length of each.
	KVMemory int64
	// Draft names a smaller model of the same vocabulary that guesses tokens, which this one checks several at a time: the same
	// answer, sooner where it guesses well. Its own keys and values are not counted in KVMemory.
	Draft string
	// PrefixMemory bounds the bytes of keys and values that ended requests leave for later ones with the same beginning.
	// 0: as much as one full context takes; -1: none.
	PrefixMemory int64
	// PromptCache is a folder where ended requests leave their keys and values for later runs of the program, so that a system
	// prompt or conversation is computed once. Files are readable by their owner only: they tell the conversation. Empty: none.
	PromptCache string
	// PromptCacheBytes bounds this model's files there, of which the least recently used are deleted. 0: 2 GiB.
	PromptCacheBytes int64
	// Parallel is the number of requests that run at a time, at most 128. 0: 64.
	Parallel int
	// Queue is the number of requests that wait beyond those; more are refused with ErrQueueFull. 0: 1024.
	Queue int
	// PrefillChunk bounds the prompt tokens computed in one pass while no answer runs, at most 128. 0: 128. The answer is the same.
	PrefillChunk int
	// StepTokens bounds the prompt tokens computed between two tokens of running answers. 0: 32.
	StepTokens int
}

// Model is an opened model with its text side. Safe for concurrent use.
type Model struct {
	*Text
	engine   *engine.Engine
	model    *gemma2.Model
	crew     *parallel.Crew
	weights  *load.Loaded
	defaults Sampling
	stopIDs  map[int32]bool
	grammars *constrained.Cache // nil without a tokenizer
	draft    *draft             // nil: none
	files    GenerationInfo     // what the files say about answers
	kv       gemma2.KVType
	preset   Preset

	presetReason string
}

// Open opens the model of that name: "" or Mini, a Hugging Face folder, or a .gguf file. A file in the product's own format
// is mapped and ready at once; others are arranged for the kernels first.
func Open(name string, o *Options) (*Model, error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	ck, err := openCheckpoint(name, checkpoint.Open)
	if err != nil {
		return nil, err
	}
	m, err := newModel(ck, o)
	if err != nil {
		_ = ck.Close() // the first error is the one to report
		return nil, fmt.Errorf("open %s: %w", displayName(name), err)
	}
	return m, nil
}

// check reports options that no model can have.
func (o *Options) check() error {
	if o.Threads < 0 {
		return fmt.Errorf("threads: want 0 (all) or more, found %d", o.Threads)
	}
	if o.Preset != PresetDefault && !slices.Contains(Presets(), o.Preset) {
		return fmt.Errorf("preset: want exact, speed, memory, memory_extreme, auto or none, found %q", o.Preset)
	}
	if o.PrefillChunk < 0 || o.PrefillChunk > gemma2.MaxRows {
		return fmt.Errorf("prefill chunk: want 1 to %d tokens, or 0 for the default, found %d", gemma2.MaxRows, o.PrefillChunk)
	}
	for _, c := range o.Cores {
		if c < 0 || c >= 4096 {
			return fmt.Errorf("cores: want numbers of processors, found %d", c)
		}
	}
	return kernel.Err()
}

// crew makes the workers.
func (o *Options) crew() *parallel.Crew {
	n := cmp.Or(o.Threads, parallel.Cores())
	if len(o.Cores) > 0 {
		return parallel.NewOn(n, o.Cores)
	}
	return parallel.New(n)
}

func newModel(ck *checkpoint.Checkpoint, o *Options) (*Model, error) {
	text, err := newText(ck, o)
	if err != nil {
		return nil, err
	}
	if !ck.HasConfig || len(ck.Tensors)+len(ck.Matrices) == 0 {
		return nil, ErrNoWeights
	}
	o, reason := o.resolvePreset(ck)
	m := &Model{Text: text, preset: o.Preset, presetReason: reason, stopIDs: map[int32]bool{}, defaults: defaultSampling(ck)}
	if g := defaultGeneration(ck); g != nil {
		m.files = *g
	}
	for _, id := range ck.EOS {
		m.stopIDs[id] = true
	}
	m.grammars = text.formats(m.stopIDs)
	if err := errors.Join(m.defaults.Validate(), m.build(ck, o)); err != nil {
		return nil, errors.Join(err, m.free())
	}
	return m, nil
}

// build makes the parts that compute. What it made before an error, free releases.
func (m *Model) build(ck *checkpoint.Checkpoint, o *Options) (err error) {
	if m.kv, err = kvType(o, ck); err != nil {
		return err
	}
	contextLength := ck.Config.MaxPositions
	if o.ContextLength < 0 || o.ContextLength > contextLength {
		return fmt.Errorf("context length: want 1 to %d (what the model was trained for), found %d", contextLength, o.ContextLength)
	}
	m.crew = o.crew()
	if m.weights, err = load.Weights(ck, m.crew); err != nil {
		return err
	}
	if m.model, err = gemma2.New(m.weights.Weights, m.crew, o.Preset.arithmetic()); err != nil {
		return err
	}
	if o.Draft != "" {
		if err := m.openDraft(o.Draft); err != nil {
			return err
		}
	}
	pool := gemma2.NewPool(&m.weights.Config, m.kv, o.KVMemory)
	eo := engine.Options{ContextLength: cmp.Or(o.ContextLength, contextLength), Parallel: o.Parallel, Queue: o.Queue, StepTokens: o.StepTokens, ChunkTokens: o.PrefillChunk, PrefixBytes: o.PrefixMemory}
	if o.PromptCache != "" {
		eo.StoreDir, eo.StoreBytes, eo.ModelID = o.PromptCache, o.PromptCacheBytes, modelID(ck, o.Preset, m.kv)
	}
	if o.ContextLength == 0 && o.KVMemory > 0 {
		eo.ContextLength = min(contextLength, max(1, pool.Capacity(o.KVMemory)))
	}
	m.engine, err = engine.New(m.model, pool, eo)
	return err
}

// kvVersion changes whenever keys and values of the same model and prompt do, or how they are stored.
const kvVersion = 1

// modelID tells apart what may not share keys and values: models (by the names, sizes and times of their files), arithmetics and
// types of numbers.
func modelID(ck *checkpoint.Checkpoint, preset Preset, kv gemma2.KVType) [32]byte {
	if preset != PresetExact && preset != PresetSpeed {
		preset = PresetDefault // the same arithmetic
	}
	return sha256.Sum256(fmt.Appendf(nil, "%d\n%q\n%s\n%x\n%+v", kvVersion, preset, kv, ck.Identity(), ck.Config))
}

// kvType chooses the number type of cached keys and values (docs/design.md section 6).
func kvType(o *Options, ck *checkpoint.Checkpoint) (gemma2.KVType, error) {
	exact := o.Preset == PresetExact
	switch {
	case (o.KVType == "f16" || o.KVType == "int8") && exact:
		return 0, fmt.Errorf("KV type: preset exact wants f32, found %s", o.KVType)
	case o.KVType == "int8":
		return gemma2.KVI8, nil
	case o.KVType == "f16", o.KVType == "" && !exact && quantised(ck):
		return gemma2.KVF16, nil
	case o.KVType == "f32", o.KVType == "":
		return gemma2.KVF32, nil
	}
	return 0, fmt.Errorf("KV type: want f32, f16 or int8, found %q", o.KVType)
}

// Close waits for running answers and frees the model's memory. Later calls fail with ErrClosed.
func (m *Model) Close() error {
	err := errors.Join(m.engine.Close(), m.free())
	return errors.Join(err, m.Text.Close())
}

// free releases what newModel made, as far as it came.
func (m *Model) free() (err error) {
	if m.draft != nil {
		err = m.draft.close()
	}
	if m.model != nil {
		_ = m.model.Close() // our own memory: cannot fail
	}
	if m.weights != nil {
		m.weights.Close()
	}
	if m.crew != nil {
		m.crew.Close()
	}
	return err
}

// DefaultSampling is what the model's files recommend (generation_config), and what nil options mean.
func (m *Model) DefaultSampling() Sampling { return m.defaults }

// ContextLength is the number of tokens that prompt and answer may have together.
func (m *Model) ContextLength() int { return m.engine.ContextLength() }
