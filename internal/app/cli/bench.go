package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/bench"
	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
)

// benchCmd is `systemgemma bench`.
type benchCmd struct {
	modelFlag
	Synthetic string   `placeholder:"SHAPE" group:"Model" help:"Instead of a model: random weights of the shape of 2b, 9b or 27b, or tiny, made in memory."`
	Type      []string `placeholder:"TYPE" group:"Model" help:"Weights of a synthetic model: w8a8 (the default), q8_0, q4_0, q4_1, bf16, f16 or f32."`
	KVType    kvType   `name:"kv-type" placeholder:"TYPE" group:"Model" help:"Number type of cached keys and values: f32, f16 or int8."`
	Preset    preset   `placeholder:"NAME" group:"Model" help:"Arithmetic: exact (float32 for any file) or speed (activations rounded to bfloat16 for bfloat16 weights)."`
	Prefill   []int    `placeholder:"N" group:"Measure" help:"Lengths of prompts; 0 is none. Default: 128,512."`
	Decode    *int     `placeholder:"N" group:"Measure" help:"Tokens to generate; 0 is none. Default: 32."`
	Parallel  []int    `placeholder:"N" group:"Measure" help:"Numbers of conversations to run at a time, each a prompt of 128 tokens and an answer: tokens/s of all together, decoding alone (parallel_decode) and with the prompts (parallel_whole)."`
	Depth     []int    `placeholder:"N" group:"Measure" help:"Tokens in the KV cache before. Default: 0."`
	Threads   []int    `placeholder:"N" group:"Measure" help:"Numbers of threads. Default: 1 and all."`
	Repeat    int      `placeholder:"N" default:"5" group:"Measure" help:"Measurements of each, after one that warms up."`
	JSON      bool     `name:"json" group:"Output" help:"Write one JSON object a line instead of the table."`
	Compare   string   `placeholder:"FILE" group:"Output" help:"Judge against an earlier run, what bench --json wrote: faster, slower, or within noise."`
	Plot      string   `placeholder:"FILE" group:"Output" help:"Draw a roofline: what was measured beside what this machine can do (SVG)."`
	Profile   string   `placeholder:"FILE" group:"Output" help:"Write a CPU profile (pprof) and tell the time by kind of operation."`
}

// Help is the end of the help text.
func (*benchCmd) Help() string {
	return `Without a model, measures mini and a tiny synthetic one. Of each measurement the median counts; min and max show its noise.

"of roof" compares with what this machine can do: prefill of int8 weights with the int8 peak, measured first; decoding with reading
all weights and the cached keys and values as fast as nothing but reading these weights goes, which is measured every quarter of a
second of it, since others may leave twice as much of the memory's bandwidth a moment later (read_weights tells it from before).
Peak memory is that of the process since the model was opened on Linux, and since its start elsewhere.

Examples:

  systemgemma bench --synthetic 2b --json > before.json
  systemgemma bench --synthetic 2b --compare before.json
  systemgemma bench -m model.gguf --prefill 512 --decode 64 --depth 0,4096 --threads 1,2,4
`
}

// Run measures.
func (c *benchCmd) Run(ctx context.Context, env *Env) error {
	if err := c.check(); err != nil {
		return err
	}
	before, err := c.earlier()
	if err != nil {
		return err
	}
	var profile *os.File
	if c.Profile != "" {
		if profile, err = os.Create(c.Profile); err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
		defer profile.Close()
	}
	r := benchRun{cmd: c, env: env, json: json.NewEncoder(env.Stdout)}
	r.json.SetEscapeHTML(false)
	if err := r.roofs(ctx); err != nil {
		return err
	}
	if profile != nil {
		if err := pprof.StartCPUProfile(&r.profile); err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
	}
	err = r.models(ctx)
	if profile != nil {
		pprof.StopCPUProfile()
		err = errors.Join(err, r.writeProfile(profile))
	}
	if err == nil && c.Plot != "" {
		if err = wholefile.Write(c.Plot, 0o666, func(w io.Writer) error { return write(w, bench.Plot(r.rows)) }); err != nil {
			return fmt.Errorf("--plot: %w", err)
		}
	}
	if err == nil && before != nil {
		err = r.tell("\ncompared with " + c.Compare + "\n" + bench.Report(bench.Compare(before, r.rows)))
	}
	return err
}

// check fills in defaults and refuses wrong use.
func (c *benchCmd) check() error {
	switch {
	case c.Synthetic != "" && c.Model != "":
		return usagef("--synthetic: want no -m beside it, found %s", c.Model)
	case c.Synthetic != "" && !slices.Contains(systemgemma.SyntheticShapes(), c.Synthetic):
		return usagef("--synthetic: want one of %s, found %q", strings.Join(systemgemma.SyntheticShapes(), ", "), c.Synthetic)
	case len(c.Type) > 0 && c.Model != "":
		return usagef("--type: want --synthetic beside it: the type of %s is in its files", c.Model)
	case c.Repeat < 1 || c.Repeat > 1000:
		return usagef("--repeat: want 1 to 1000, found %d", c.Repeat)
	case c.Decode != nil && (*c.Decode < 0 || *c.Decode > maxTokens):
		return usagef("--decode: want 0 to %d, found %d", maxTokens, *c.Decode)
	}
	for _, t := range c.Type {
		if !slices.Contains(systemgemma.SyntheticTypes(), t) {
			return usagef("--type: want some of %s, found %q", strings.Join(systemgemma.SyntheticTypes(), ", "), t)
		}
	}
	for _, l := range []struct {
		flag   string
		list   *[]int
		lo, hi int
	}{{"--prefill", &c.Prefill, 0, maxTokens}, {"--parallel", &c.Parallel, 1, 128}, {"--depth", &c.Depth, 0, maxTokens}, {"--threads", &c.Threads, 1, 1024}} {
		for _, n := range *l.list {
			if n < l.lo || n > l.hi {
				return usagef("%s: want numbers from %d to %d, found %d", l.flag, l.lo, l.hi, n)
			}
		}
		slices.Sort(*l.list)
		*l.list = slices.Compact(*l.list)
	}
	if c.Prefill == nil {
		c.Prefill = []int{128, 512}
	}
	if c.Prefill[0] == 0 {
		c.Prefill = c.Prefill[1:]
	}
	if c.Decode == nil {
		c.Decode = new(32)
	}
	if c.Depth == nil {
		c.Depth = []int{0}
	}
	if len(c.Prefill) == 0 && *c.Decode == 0 && len(c.Parallel) == 0 {
		return usagef("--prefill 0 --decode 0: want something to measure")
	}
	return nil
}

// maxTokens is far beyond any context; the model's own is asked when it is open.
const maxTokens = 1 << 20

// earlier reads the file of --compare.
func (c *benchCmd) earlier() ([]bench.Row, error) {
	if c.Compare == "" {
		return nil, nil
	}
	f, err := os.Open(c.Compare)
	if err != nil {
		return nil, fmt.Errorf("--compare: %w", err)
	}
	defer f.Close()
	rows, err := bench.Read(f)
	if err != nil {
		return nil, fmt.Errorf("--compare %s: %w", c.Compare, err)
	}
	return rows, nil
}

// benchRun is one run of the command.
type benchRun struct {
	cmd     *benchCmd
	env     *Env
	json    *json.Encoder
	rows    []bench.Row
	roofing []systemgemma.Roofline
	headed  bool // the table has its head
	profile bytes.Buffer
}

// emit shows a row, as JSON or in the table.
func (r *benchRun) emit(row bench.Row) error {
	r.rows = append(r.rows, row)
	if r.cmd.JSON {
		return r.json.Encode(row)
	}
	head := ""
	if row.Model != "" && !r.headed {
		r.headed = true
		head = "\n" + bench.Head()
	}
	return write(r.env.Stdout, head+row.String())
}

// tell writes text for people: beside JSON to stderr.
func (r *benchRun) tell(text string) error {
	if r.cmd.JSON {
		return write(r.env.Stderr, text)
	}
	return write(r.env.Stdout, text)
}

// roofs says what the machine is, and measures what it can do.
func (r *benchRun) roofs(ctx context.Context) error {
	m, err := systemgemma.ThisMachine()
	if err != nil {
		return err
	}
	if len(r.cmd.Threads) == 0 {
		r.cmd.Threads = slices.Compact([]int{1, m.Threads})
	}
	var b strings.Builder
	field(&b, "cpu", "%s, %d processors", m.CPU, m.CPUs)
	field(&b, "kernel", "%s (this CPU has: %s)", m.Kernel, strings.Join(m.Kernels, ", "))
	if m.MemoryTotal > 0 {
		field(&b, "memory", "%s, %s available", size(m.MemoryTotal), size(m.MemoryAvailable))
	}
	if err := r.tell(b.String()); err != nil {
		return err
	}
	for _, n := range r.cmd.Threads {
		status := r.env.waiting(fmt.Sprintf("measuring read bandwidth and int8 peak with %d threads", n))
		roof, err := systemgemma.MeasureRoofline(ctx, n)
		status.Stop()
		if err != nil {
			return err
		}
		r.roofing = append(r.roofing, roof)
		row := bench.Row{Test: bench.ReadBandwidth, Threads: n, Value: roof.ReadBandwidth, CPU: m.CPU, Kernel: m.Kernel, BufferBytes: roof.BufferBytes}
		if err := r.emit(row); err != nil {
			return err
		}
		row.Test, row.Value, row.Instruction, row.BufferBytes = bench.Int8Peak, roof.Int8Peak, roof.Instruction, 0
		if err := r.emit(row); err != nil {
			return err
		}
	}
	return nil
}

// models measures each model that was asked for.
func (r *benchRun) models(ctx context.Context) error {
	c := r.cmd
	types := c.Type
	if len(types) == 0 {
		types = []string{"w8a8"}
	}
	shape := c.Synthetic
	if shape == "" {
		if err := r.file(ctx, c.Model); err != nil || c.Model != "" {
			return err
		}
		shape = "tiny"
	}
	for _, t := range types {
		name := fmt.Sprintf("synthetic %s %s", shape, t)
		err := r.model(ctx, "synthetic "+shape, func() (*systemgemma.Model, error) {
			defer r.env.waiting("making " + name).Stop()
			return await(ctx, func() (*systemgemma.Model, error) { return systemgemma.OpenSynthetic(shape, t, r.options()) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *benchRun) options() *systemgemma.Options {
	return &systemgemma.Options{KVType: string(r.cmd.KVType), Preset: systemgemma.Preset(r.cmd.Preset)}
}

// file measures a model in files: first how long it takes to open, when they are in the page cache.
func (r *benchRun) file(ctx context.Context, name string) error {
	open := func() (*systemgemma.Model, error) { return open(ctx, r.env, name, r.options(), systemgemma.Open) }
	var seconds []float64
	for i := 0; i <= r.cmd.Repeat && (i < 2 || seconds[0] < 1); i++ {
		start := time.Now()
		m, err := open()
		if err != nil {
			return err
		}
		if i > 0 {
			seconds = append(seconds, time.Since(start).Seconds())
		}
		if err := m.Close(); err != nil {
			return err
		}
	}
	if name == "" {
		name = systemgemma.Mini
	}
	return r.model(ctx, name, open, seconds...)
}

// model measures one model: speeds, then memory and how long opening took, if that is known.
func (r *benchRun) model(ctx context.Context, name string, open func() (*systemgemma.Model, error), seconds ...float64) error {
	if r.cmd.Preset != "" {
		name += " " + string(r.cmd.Preset)
	}
	systemgemma.ResetPeakMemory() // where it can't, help says what the peak is
	m, err := open()
	if err != nil {
		return err
	}
	defer m.Close()
	debug.FreeOSMemory() // as run and serve do
	c := r.cmd
	o := systemgemma.BenchOptions{Prefill: c.Prefill, Decode: *c.Decode, Parallel: c.Parallel, Depths: c.Depth, Threads: c.Threads, Repeat: c.Repeat, Rooflines: r.roofing}
	status := r.env.waiting("measuring " + name)
	defer func() { status.Stop() }()
	typ, pauses := "", bench.StartPauses()
	for x, err := range m.Bench(ctx, o) {
		status.Stop()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		typ = x.Type
		row := bench.Row{Test: string(x.Test), Threads: x.Threads, Value: x.TokS, Model: name, Type: x.Type, Tokens: x.Tokens, Depth: x.Depth,
			Roofline: x.Roofline, Ops: x.Ops, Bytes: x.Bytes}
		if x.Test == systemgemma.BenchReadWeights {
			row.Value = x.GBS
		}
		if err := r.emit(row); err != nil {
			return err
		}
		status = r.env.waiting("measuring " + name)
	}
	status.Stop()
	machine, err := systemgemma.ThisMachine()
	if err != nil {
		return err
	}
	tokens := slices.Max(c.Depth) + slices.Max(append(slices.Clone(c.Prefill), *c.Decode))
	row := bench.Row{Test: bench.Memory, Model: name, Type: typ, Tokens: tokens, PeakBytes: machine.PeakMemory, Pause: pauses.Longest()}
	row.WeightBytes, row.KVBytes = m.BenchMemory(tokens)
	if err := r.emit(row); err != nil || len(seconds) == 0 {
		return err
	}
	return r.emit(bench.Row{Test: bench.Load, Threads: machine.Threads, Value: systemgemma.SpreadOf(seconds), Model: name, Type: typ})
}

// writeProfile writes the pprof and tells what it says.
func (r *benchRun) writeProfile(f *os.File) error {
	_, err := f.Write(r.profile.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("--profile: %w", err)
	}
	shares, err := bench.Shares(r.profile.Bytes())
	if err != nil {
		return err
	}
	return r.tell("\n" + bench.SharesText(shares))
}
