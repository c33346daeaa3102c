package systemgemma

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

// RunForecast is what running a model takes on this machine, told by its files and options before any weight is read.
type RunForecast struct {
	Name        string      `json:"name"`
	WeightBytes int64       `json:"weight_bytes"`
	MappedBytes int64       `json:"mapped_bytes"` // of these, what stays in the file: shared with other processes, and read again when memory is short
	Context     int         `json:"context"`      // tokens
	KVType      string      `json:"kv_type"`      // of keys and values
	KVBytes     int64       `json:"kv_bytes"`     // of one full context
	OtherBytes  int64       `json:"other_bytes"`  // at most: rows of activations and logits
	Available   int64       `json:"available"`    // of the machine's memory, now; 0: not known
	TokenBytes  int64       `json:"token_bytes"`  // of the weights, what is read for each token of an answer
	shape       arch.Config // for what would fit
}

// ForecastRun tells what Open with these options would take. The model must be one that can be run.
func ForecastRun(name string, o *Options) (f RunForecast, err error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.check(); err != nil {
		return f, err
	}
	ck, err := openCheckpoint(name, checkpoint.Open)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, ck.Close()) }()
	if !ck.HasConfig || len(ck.Tensors)+len(ck.Matrices) == 0 {
		return f, ErrNoWeights
	}
	if err := ck.Runnable(); err != nil {
		return f, err
	}
	o, _ = o.resolvePreset(ck)
	kv, err := kvType(o, ck)
	if err != nil {
		return f, err
	}
	need := load.Need(ck)
	machine, _ := ThisMachine() // check has seen its error
	f = RunForecast{
		Name: displayName(name), WeightBytes: need.Weights, MappedBytes: need.Weights - need.Arranged, KVType: kvNames[kv],
		Context: min(cmp.Or(o.ContextLength, ck.Config.MaxPositions), ck.Config.MaxPositions), OtherBytes: scratch, Available: machine.MemoryAvailable,
		TokenBytes: need.Token, shape: ck.Config,
	}
	f.KVBytes = gemma2.NewPool(&ck.Config, kv, 0).Need(f.Context)
	return f, nil
}

var kvNames = map[gemma2.KVType]string{gemma2.KVF32: "f32", gemma2.KVF16: "f16", gemma2.KVI8: "int8"}

// Bytes is all memory together, with a full context.
func (f *RunForecast) Bytes() int64 { return f.WeightBytes + f.KVBytes + f.OtherBytes }

// Fits tells whether that is available now. On a system that doesn't tell its memory, all fits.
func (f *RunForecast) Fits() bool { return f.Available == 0 || f.Bytes() <= f.Available }

// TokensPerSecond is the speed of an answer with an empty context that a machine of that read bandwidth, in GB/s, can't exceed.
func (f *RunForecast) TokensPerSecond(bandwidth float64) float64 {
	return bandwidth * 1e9 / float64(f.TokenBytes)
}

// WouldFit names what fits into the available memory, the least change first: int8 keys and values, a shorter context, both, another
// type of weights. Empty: nothing does, or nothing is needed.
func (f *RunForecast) WouldFit() (ways []string) {
	if f.Fits() {
		return nil
	}
	c := &f.shape
	room := f.Available - f.WeightBytes - f.OtherBytes
	longest := func(kv gemma2.KVType, below int) int {
		pool := gemma2.NewPool(c, kv, 0)
		for n := below; n >= 256; n -= 256 {
			if pool.Need(n) <= room {
				return n
			}
		}
		return 0
	}
	step := func(n int) int { return max(0, (n-1)/256*256) } // the next shorter one
	now := gemma2.KVF32
	for t, name := range kvNames {
		if name == f.KVType {
			now = t
		}
	}
	if now != gemma2.KVI8 && gemma2.NewPool(c, gemma2.KVI8, 0).Need(f.Context) <= room {
		ways = append(ways, "KV type int8")
	}
	if n := longest(now, step(f.Context)); n > 0 {
		ways = append(ways, fmt.Sprintf("a context of %d tokens", n))
	}
	if n := longest(gemma2.KVI8, step(f.Context)); n > 0 && now != gemma2.KVI8 && !slices.Contains(ways, "KV type int8") {
		ways = append(ways, fmt.Sprintf("KV type int8 and a context of %d tokens", n))
	}
	for _, t := range f.typesThatFit() {
		ways = append(ways, "weights of type "+t)
	}
	return ways
}

// typesThatFit are the smaller kinds of weights with which a context of the same length fits.
func (f *RunForecast) typesThatFit() (types []string) {
	config, err := json.Marshal(struct {
		ModelType string `json:"model_type"`
		*Config
	}{"gemma2", configInfo(&f.shape)})
	if err != nil {
		return nil
	}
	for _, t := range []string{"w8a8", "w4"} {
		other, err := ForecastConvert(config, t)
		if err == nil && other.WeightBytes < f.WeightBytes && other.WeightBytes+gemma2.NewPool(&f.shape, gemma2.KVF16, 0).Need(f.Context)+f.OtherBytes <= f.Available {
			types = append(types, t)
		}
	}
	return types
}
