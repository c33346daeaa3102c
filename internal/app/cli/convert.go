package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
	"github.com/systemgemma/systemgemma/internal/app/cli/terminal"
	"github.com/systemgemma/systemgemma/internal/app/modelcard"
)

// convertCmd is `systemgemma convert SOURCE`.
type convertCmd struct {
	Source         string          `arg:"" help:"A Hugging Face folder with safetensors, a .gguf file, or mini."`
	Output         string          `short:"o" placeholder:"FILE" group:"Output" help:"File to make; with --matrix an existing folder. Default: a name made of source and type, in the current folder."`
	Type           weightType      `placeholder:"TYPE" xor:"type" group:"Weights" help:"Kind of weights: w8a8 (the default), w8a8-gN, w8a8-rotated, llm-int8, w4, w4-gN, nf4, fp4, q8_0, q4_0, q4_1, bf16, f16 or f32."`
	Matrix         []string        `placeholder:"TYPE,..." xor:"type" group:"Weights" help:"Several kinds: a file of each in one pass over the source, and a table that compares them."`
	Embedding      weightType      `placeholder:"TYPE" group:"Weights" help:"Kind of the embedding."`
	Head           weightType      `placeholder:"TYPE" group:"Weights" help:"Kind of the output head. One of another kind than a tied embedding is stored apart."`
	Tensor         []string        `placeholder:"REGEX=TYPE" sep:"none" group:"Weights" help:"Kind of the matrices whose name matches; may be repeated, the last that matches counts."`
	Hybrid         float64         `placeholder:"SHARE" group:"Weights" help:"Share of the layers' matrices, 0 to 1, that get groups of up to 128 columns: those that lose most by w8a8."`
	LoRA           []lora          `name:"lora" sep:"none" placeholder:"PATH[:SCALE]" group:"Weights" help:"Merge the LoRA adapter at PATH, a PEFT folder or a GGUF file, at strength SCALE (1), before rounding. May be repeated."`
	To             fileFormat      `placeholder:"FORMAT" group:"Output" help:"systemgemma (the default); gguf: for llama.cpp (types f32 f16 bf16 q8_0 q5_1 q5_0 q4_1 q4_0); safetensors: a folder for transformers (f32 f16 bf16); compressed-tensors: an int8 folder for vLLM and transformers (w8a8)."`
	SystemMode     chat.SystemMode `placeholder:"MODE" group:"Prompt" help:"How the file renders system prompts (see run --help). Default: what the source says."`
	Template       string          `placeholder:"FILE" group:"Prompt" help:"Jinja chat template to store instead of the source's."`
	Opt            int             `placeholder:"0|1" group:"Weights" help:"1: move large columns of activations into the weights (w8a8 and w8a8-gN), which lessens what rounding changes. Adapters don't fit such a file."`
	Calibrate      string          `placeholder:"FILE.jsonl" group:"Weights" help:"Conversations whose activations --opt 1 looks at: a line {\"messages\": [...]} for each. Default: the built-in text."`
	NoReport       bool            `group:"Measure" help:"Leave out the quality report, which compares the file with its source."`
	Text           string          `placeholder:"FILE" group:"Measure" help:"Text of the report. Default: a short one that is built in."`
	Report         string          `placeholder:"FILE.html" group:"Measure" help:"Also write the report as a page of its own."`
	Card           string          `placeholder:"FILE" group:"Output" help:"Also write a README.md for the Hub: metadata, what was done, quality, how to run, limitations."`
	Force          bool            `group:"Output" help:"Replace an existing file."`
	DryRun         bool            `group:"Output" help:"Show sizes, memory at run time, room on the disk and the time it would take, and make nothing."`
	JSON           bool            `name:"json" group:"Output" help:"Write one JSON object."`
	AllowNonfinite bool            `group:"Weights" help:"Let in weights that are NaN or infinite: integers take 0 and the row's largest value for them."`
	IgnoreUnknown  bool            `group:"Weights" help:"Ignore tensors that the model lacks."`
	Threads        int             `placeholder:"N" group:"Work" help:"Threads that compute. 0 is all processors."`
	Memory         string          `placeholder:"SIZE" group:"Work" help:"Bound of the weights in work, such as 32MB. Default: 64MB."`
}

// Help is the end of the help text.
func (*convertCmd) Help() string {
	return `Reads the source in strips, so that memory stays small whatever the model's size. What was interrupted goes on when the same
command is given again. docs/convert.md has more.

Examples:

  systemgemma convert ./gemma-2-2b-it
  systemgemma convert gemma-2-2b-it-Q8_0.gguf --type w4 --embedding q8_0 -o small.gguf
  systemgemma convert ./gemma-2-2b-it --lora ./my-adapter:0.8 --to gguf --type q4_0
  systemgemma convert ./gemma-2-2b-it --matrix w8a8,w8a8-g128,w4 --dry-run
`
}

// Run converts.
func (c *convertCmd) Run(ctx context.Context, env *Env) error {
	o, err := c.options()
	if err != nil {
		return err
	}
	source, err := resolve(env, c.Source)
	if err != nil {
		return err
	}
	o.Warn = func(text string) { _ = warn(env, []string{text}) } // stderr is gone: nowhere to tell
	if c.DryRun {
		r, err := systemgemma.PlanConvert(ctx, source.path, o)
		if err != nil {
			return hint(err)
		}
		return c.tell(env, &r)
	}
	p := newConvertProgress(env, c.Source)
	o.Progress = p.tell
	o.ReportProgress = func(done, total int) { p.status.Set("measuring the quality: %d %%", 100*done/total) }
	r, err := systemgemma.Convert(ctx, source.path, o)
	p.status.Stop()
	if err != nil {
		return errors.Join(c.kept(env, &r), hint(err))
	}
	if err := write(env.Stderr, summary(&r)); err != nil {
		return err
	}
	if c.Report != "" {
		if err := writePage(c.Report, &r); err != nil {
			return fmt.Errorf("--report: %w", err)
		}
	}
	if c.Card != "" {
		if err := modelcard.Write(c.Card, &r); err != nil {
			return fmt.Errorf("--card: %w", err)
		}
	}
	return c.tell(env, &r)
}

// options collects what the library wants, and refuses wrong use.
func (c *convertCmd) options() (*systemgemma.ConvertOptions, error) {
	o := &systemgemma.ConvertOptions{
		Output: c.Output, Types: c.Matrix, Embedding: string(c.Embedding), Head: string(c.Head), SystemMode: string(c.SystemMode),
		To: string(c.To), Hybrid: c.Hybrid, Force: c.Force, AllowNonFinite: c.AllowNonfinite, IgnoreUnknown: c.IgnoreUnknown, Threads: c.Threads,
	}
	if c.Type != "" {
		o.Types = []string{string(c.Type)}
	}
	for _, l := range c.LoRA {
		o.Adapters = append(o.Adapters, systemgemma.AdapterFile{Path: l.path, Scale: l.scale})
	}
	if c.NoReport && (c.Text != "" || c.Report != "") {
		return nil, usagef("--no-report: want no --text or --report beside it")
	}
	if c.DryRun && (c.Card != "" || c.Report != "" || c.Text != "") {
		return nil, usagef("--dry-run: want no --card, --report or --text beside it, nothing is made or measured")
	}
	if c.Card != "" && c.To != "" && c.To != systemgemma.FormatOwn {
		return nil, usagef("--card: want a file of the product's own, found --to %s", c.To)
	}
	for flag, path := range map[string]string{"--card": c.Card, "--report": c.Report} {
		if _, err := os.Stat(path); path != "" && err == nil && !c.Force {
			return nil, fmt.Errorf("%s: %s exists already; choose another name (--force replaces it)", flag, path)
		}
	}
	switch {
	case c.Opt != 0 && c.Opt != 1:
		return nil, usagef("--opt: want 0 or 1, found %d", c.Opt)
	case c.Opt == 0 && c.Calibrate != "":
		return nil, usagef("--calibrate: want --opt 1 beside it, which it is for")
	}
	o.Optimise = c.Opt == 1
	if c.Calibrate != "" {
		var err error
		if o.Calibration, err = readConversations(c.Calibrate); err != nil {
			return nil, fmt.Errorf("--calibrate: %w", err)
		}
	}
	o.NoReport = c.NoReport
	if c.Text != "" {
		text, err := readFile(c.Text, systemgemma.MaxCompareText)
		if err == nil && strings.TrimSpace(text) == "" {
			err = fmt.Errorf("%s is empty", c.Text)
		}
		if err != nil {
			return nil, fmt.Errorf("--text: %w", err)
		}
		o.ReportText = text
	}
	if c.Threads < 0 {
		return nil, usagef("--threads: want 0 (all) or more, found %d", c.Threads)
	}
	var err error
	if o.Memory, err = parseSize(c.Memory); err != nil {
		return nil, usagef("--memory: %w", err)
	}
	for _, t := range c.Tensor {
		i := strings.LastIndexByte(t, '=')
		if i < 1 || i == len(t)-1 {
			return nil, usagef("--tensor: want REGEX=TYPE, found %q", t)
		}
		o.Tensors = append(o.Tensors, systemgemma.TensorType{Pattern: t[:i], Type: t[i+1:]})
	}
	if len(c.Matrix) > 1 && c.Output != "" {
		if info, err := os.Stat(c.Output); err != nil || !info.IsDir() {
			return nil, usagef("-o: want an existing folder beside --matrix, found %s", c.Output)
		}
	}
	if c.Template != "" {
		if o.Template, err = readFile(c.Template, maxTemplate); err != nil {
			return nil, fmt.Errorf("--template: %w", err)
		}
		if o.Template == "" {
			return nil, fmt.Errorf("--template: %s is empty", c.Template)
		}
	}
	return o, nil
}

var sizePattern = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([kKMG]?)(i?)B?$`)

// parseSize reads a number of bytes as people write them: 600MB, 1.5GiB, 65536. "" is 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	m := sizePattern.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("want a size such as 64MB or 1GiB, found %q", text)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	unit := 1000.0
	if m[3] != "" {
		unit = 1024
	}
	n *= math.Pow(unit, float64(map[string]int{"k": 1, "K": 1, "M": 2, "G": 3}[m[2]]))
	if err != nil || n < 1 || n > 1<<50 {
		return 0, fmt.Errorf("want a size from 1 byte to 1 PiB, found %q", text)
	}
	return int64(n), nil
}

// hint adds the option that goes on.
func hint(err error) error {
	for _, h := range []struct {
		is   error
		flag string
	}{
		{systemgemma.ErrOutputExists, "--force replaces it"}, {systemgemma.ErrNonFiniteWeight, "--allow-nonfinite goes on"},
		{systemgemma.ErrUnknownTensor, "--ignore-unknown goes on"},
	} {
		if errors.Is(err, h.is) {
			return fmt.Errorf("%w (%s)", err, h.flag)
		}
	}
	return err
}

// kept says where an interrupted conversion goes on.
func (c *convertCmd) kept(env *Env, r *systemgemma.ConvertResult) error {
	var left []string
	for _, f := range r.Files {
		if _, err := os.Stat(f.Path + ".partial"); err == nil {
			left = append(left, f.Path+".partial")
		}
	}
	if left == nil {
		return nil
	}
	return write(env.Stderr, fmt.Sprintf("what is done is kept in %s: the same command goes on from there\n", strings.Join(left, ", ")))
}

// convertProgress shows how far a conversion is.
type convertProgress struct {
	source string
	begin  time.Time
	status *terminal.Status
}

func newConvertProgress(env *Env, source string) *convertProgress {
	return &convertProgress{source: source, begin: time.Now(), status: env.waiting("converting " + source)}
}

// tell shows rate and time left, of what this attempt does.
func (p *convertProgress) tell(x systemgemma.ConvertProgress) {
	p.status.Set("%s", progressText(p.source, x, time.Since(p.begin)))
}

func progressText(source string, x systemgemma.ConvertProgress, since time.Duration) string {
	text := fmt.Sprintf("converting %s: %d %%, %s of %s", source, 100*x.Done/max(x.Total, 1), size(x.Done), size(x.Total))
	if rate := float64(x.Done-x.Resumed) / since.Seconds(); rate > 0 && since > time.Second/2 {
		left := time.Duration(float64(x.Total-x.Done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %.0f MB/s, %s left", rate/1e6, left.Round(time.Second))
	}
	return text
}

// summary tells what the work took.
func summary(r *systemgemma.ConvertResult) string {
	text := fmt.Sprintf("%s of source in %.1f s", size(r.SourceBytes-r.Resumed), r.Elapsed.Seconds())
	if r.Elapsed > 0 {
		text += fmt.Sprintf(", %.0f MB/s", float64(r.SourceBytes-r.Resumed)/1e6/r.Elapsed.Seconds())
	}
	if r.Resumed > 0 {
		text += fmt.Sprintf("; %s were done before", size(r.Resumed))
	}
	if r.ReportMemory > 0 {
		text += fmt.Sprintf("; report within %s beside mapped files", size(r.ReportMemory))
	}
	if m, err := systemgemma.ThisMachine(); err == nil && m.PeakMemory > 0 {
		text += ", peak memory " + size(m.PeakMemory)
	}
	return text + "\n"
}
