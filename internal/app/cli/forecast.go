package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// runForecast is what running a model takes here, and how fast it can be at best.
type runForecast struct {
	systemgemma.RunForecast
	Bytes     int64    `json:"bytes"` // all together
	Fits      bool     `json:"fits"`
	Would     []string `json:"would_fit,omitempty"`
	Bandwidth float64  `json:"bandwidth"`    // GB/s, measured
	TokS      float64  `json:"tokens_per_s"` // of an answer: what the bandwidth allows
}

// forecast tells it before the model is loaded. Measuring the bandwidth takes a second or two.
func forecast(ctx context.Context, env *Env, name string, o *systemgemma.Options) (r runForecast, err error) {
	m, err := resolve(env, name)
	if err != nil {
		return r, err
	}
	o = tunedOptions(env, m, o)
	f, err := systemgemma.ForecastRun(m.path, o)
	if err != nil {
		return r, err
	}
	machine, err := systemgemma.ThisMachine()
	if err != nil {
		return r, err
	}
	threads := o.Threads
	if threads == 0 {
		threads = machine.Threads
	}
	status := env.waiting("measuring the read bandwidth")
	roof, err := systemgemma.MeasureRoofline(ctx, threads)
	status.Stop()
	if err != nil {
		return r, err
	}
	return runForecast{f, f.Bytes(), f.Fits(), f.WouldFit(), roof.ReadBandwidth.Median, f.TokensPerSecond(roof.ReadBandwidth.Median)}, nil
}

// String is the forecast for people.
func (r *runForecast) String() string {
	var b strings.Builder
	field(&b, "model", "%s", r.Name)
	mapped := ""
	if r.MappedBytes > 0 {
		mapped = fmt.Sprintf(" (%s of them stay in the file, shared with other processes)", size(r.MappedBytes))
	}
	field(&b, "weights", "%s%s", size(r.WeightBytes), mapped)
	field(&b, "context", "%d tokens: keys and values (%s) take up to %s", r.Context, r.KVType, size(r.KVBytes))
	verdict := "fits"
	switch {
	case r.Available == 0:
		verdict = "the system does not tell what is available"
	case !r.Fits:
		verdict = fmt.Sprintf("does not fit: %s available", size(r.Available))
	default:
		verdict = fmt.Sprintf("fits: %s available", size(r.Available))
	}
	field(&b, "memory", "up to %s; %s", size(r.Bytes), verdict)
	for _, w := range r.Would {
		field(&b, "would fit", "%s", w)
	}
	if !r.Fits && len(r.Would) == 0 {
		field(&b, "would fit", "nothing of this model; a smaller one")
	}
	field(&b, "speed", "up to %.1f tokens/s in an answer: %s are read for each, at %.1f GB/s (just measured)", r.TokS, size(r.TokenBytes), r.Bandwidth)
	return b.String()
}

// warnMemory tells on stderr what does not fit, and what would, before a model is loaded. It never stops anybody: weights that stay
// in their file are read again and again, which is slow and not wrong.
func warnMemory(env *Env, name string, o *systemgemma.Options) error {
	m, err := resolve(env, name)
	if err != nil {
		return nil // opening tells
	}
	f, err := systemgemma.ForecastRun(m.path, o)
	if err != nil || f.Fits() {
		return nil
	}
	text := fmt.Sprintf("this model takes up to %s with a full context of %d tokens, and %s are available", size(f.Bytes()), f.Context, size(f.Available))
	if would := f.WouldFit(); len(would) > 0 {
		text += "; what would fit: " + strings.Join(would, ", ")
	}
	return warn(env, []string{text})
}
