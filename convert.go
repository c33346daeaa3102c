package systemgemma

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/peft"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/convert"
	"github.com/systemgemma/systemgemma/internal/equalise"
)

// Errors of Convert that a caller can act on; test with errors.Is.
var (
	// ErrOutputExists: the output is there, and ConvertOptions.Force was not given.
	ErrOutputExists = convert.ErrExists
	// ErrOutputBusy: another conversion writes the same output now.
	ErrOutputBusy = convert.ErrBusy
	// ErrNoSpace: the disk lacks room for the result.
	ErrNoSpace = convert.ErrSpace
	// ErrNonFiniteWeight: a weight is NaN or infinite, and ConvertOptions.AllowNonFinite was not given.
	ErrNonFiniteWeight = convert.ErrNotFinite
	// ErrUnknownTensor: the source has a tensor that its model lacks, and ConvertOptions.IgnoreUnknown was not given.
	ErrUnknownTensor = checkpoint.ErrUnknownTensor
)

// DefaultType is the kind of weights that Convert makes unless told otherwise.
const DefaultType = "w8a8"

// WeightTypes lists the kinds of weights that Convert makes. N stands for a group size.
func WeightTypes() []string { return quant.TypeNames() }

// ConvertOptions say what Convert makes. The zero value, and nil, mean defaults.
type ConvertOptions struct {
	// Output is the file to make; of several types the folder for their files. Empty: a name made of source and type, in the
	// current folder.
	Output string
	// Types are the kinds of weights, of WeightTypes: one file for each, made in one pass. Empty: DefaultType.
	Types []string
	// Embedding and Head are the kinds of the embedding and of the output head. Empty: as the others; a tied head is the embedding's
	// unless Head names another kind.
	Embedding, Head string
	// Tensors give kinds to matrices by name. The last one that matches counts; one without effect is refused.
	Tensors []TensorType
	// Hybrid is the share, 0 to 1, of the layers' matrices that get finer groups: those that lose most by w8a8, the only type it goes
	// with.
	Hybrid float64
	// Adapters are merged into the weights, in order, before these are rounded.
	Adapters []AdapterFile
	// To is the format: FormatOwn (also empty), or one for another program, whose types of weights have names of their own.
	To string
	// Name is the model's name in the file. Empty: the source's.
	Name string
	// SystemMode says how the file renders system prompts (see Options). Empty: custom if Template is given, else what the source says.
	SystemMode string
	// Template is the text of a Jinja chat template that replaces the source's, for mode custom.
	Template string

	Force          bool  // existing outputs are replaced
	AllowNonFinite bool  // NaN and infinite weights are let in: integer kinds take 0 for NaN and the row's largest magnitude for infinities
	IgnoreUnknown  bool  // tensors that the model lacks are ignored, with a warning
	Threads        int   // 0: one for each processor that this process may use
	Memory         int64 // bounds the bytes of rows in work. 0: 64 MiB

	// Optimise moves large columns of activations into the weights of w8a8 and w8a8-gN files, where that changes nothing but rounding
	// (docs/convert.md). Adapters don't fit such files at run time.
	Optimise bool
	// Calibration is the conversations whose activations Optimise looks at. nil: the built-in text.
	Calibration [][]Message

	// NoReport leaves out the quality report, which compares each file with the source (see Compare; the source runs by preset exact)
	// and is stored in it. One that can't be made is a warning, not an error.
	NoReport bool
	// ReportText is the text of the report. Empty: a short built-in one.
	ReportText string
	// ReportProgress, if not nil, is told how many steps of a file's report are done of all.
	ReportProgress func(done, total int)

	// Progress, if not nil, is told how far the work is, by one goroutine at a time.
	Progress func(ConvertProgress)
	// Warn, if not nil, is told what a person should know while there is time to stop.
	Warn func(string)
}

// TensorType gives a kind of weights to all matrices whose GGUF name the pattern (RE2) matches anywhere.
type TensorType struct{ Pattern, Type string }

// ConvertProgress tells how far a conversion is, in bytes of the source.
type ConvertProgress struct {
	Done, Total int64
	Resumed     int64 // of Done: what an earlier, interrupted attempt did
}

// ConvertedFile is a file that Convert makes.
type ConvertedFile struct {
	Path  string        `json:"path"`
	Type  string        `json:"type"` // of most matrices
	Bytes int64         `json:"bytes"`
	Parts []ConvertPart `json:"parts"`
	// What the model takes at run time: weights, and keys and values of a full context at the default type.
	WeightBytes int64 `json:"weight_bytes"`
	KVBytes     int64 `json:"kv_bytes"`
	Context     int   `json:"context"` // tokens
	// Quality compares the file, B, with the source, A; nil: no report was made.
	Quality *Quality `json:"quality,omitempty"`
}

// ConvertPart sums up the matrices of one part of the model and one kind.
type ConvertPart struct {
	Part    string `json:"part"` // embedding, attention, feed-forward, head or norms
	Type    string `json:"type"`
	Tensors int    `json:"tensors"`
	Weights int64  `json:"weights"`
	Bytes   int64  `json:"bytes"`
}

// ConvertResult tells what Convert made, or would make.
type ConvertResult struct {
	Files       []ConvertedFile `json:"files"`
	SourceBytes int64           `json:"source_bytes"`
	Resumed     int64           `json:"resumed_bytes"` // of the source: what an earlier attempt did
	Warnings    []string        `json:"warnings"`
	// AdapterChanges are what merging did. None when the work was resumed: an earlier attempt made a part of it.
	AdapterChanges []AdapterChange `json:"adapter_changes,omitempty"`
	// ReportMemory bounds the bytes that the reports took, apart from mapped files.
	ReportMemory int64         `json:"report_memory,omitempty"`
	Elapsed      time.Duration `json:"-"` // without the reports; of a plan: what the work would take, the disk apart
	DiskNeeded   int64         `json:"disk_needed"`
	DiskFree     int64         `json:"disk_free"` // 0: not known
}

// Convert makes files in the product's own format of a Hugging Face folder, a GGUF file, a file of its own or the embedded model: in
// strips, so that memory stays small whatever the model's size.
//
// A file appears under its name when it is whole. Until then it grows in NAME.partial, beside a journal: work that was
// interrupted by an error, by ctx or by the end of the process goes on when Convert is called again with the same source and
// options. The same source and options give the same bytes.
func Convert(ctx context.Context, source string, o *ConvertOptions) (ConvertResult, error) {
	if o == nil {
		o = &ConvertOptions{}
	}
	c, err := newConversion(ctx, source, o, false)
	if err != nil {
		return ConvertResult{}, err
	}
	defer c.close()
	begin := time.Now()
	reports := time.Duration(0)
	if !o.NoReport {
		c.job.Report = func(ctx context.Context, output int, path string) (string, error) {
			begin := time.Now()
			defer func() { reports += time.Since(begin) }()
			return c.report(ctx, output, path, o)
		}
	}
	err = c.run(ctx)
	c.result.Elapsed = time.Since(begin) - reports
	c.adapterChanges()
	if err == nil && c.export != nil && !o.NoReport { // no room in such files: it is only told
		_, err = c.report(ctx, 0, c.result.Files[0].Path, o)
	}
	if err != nil {
		return c.result, fmt.Errorf("convert %s: %w", displayName(source), err)
	}
	return c.result, nil
}

// PlanConvert says what Convert would make, how long it would take and what room it needs, without making it.
func PlanConvert(ctx context.Context, source string, o *ConvertOptions) (ConvertResult, error) {
	c, err := newConversion(ctx, source, o, true)
	if err != nil {
		return ConvertResult{}, err
	}
	defer c.close()
	if c.export != nil {
		c.result.DiskNeeded = c.export.Bytes
		return c.result, nil
	}
	c.result.Elapsed, err = c.job.Estimate(ctx, c.crew)
	for _, out := range c.job.Outputs {
		need, free, _ := out.Need()
		c.result.DiskNeeded += need
		c.result.DiskFree = free
	}
	if err != nil {
		return c.result, fmt.Errorf("convert %s: %w", displayName(source), err)
	}
	return c.result, nil
}

// conversion is one call of Convert.
type conversion struct {
	ck     *checkpoint.Checkpoint
	crew   *parallel.Crew
	job    *convert.Job
	export *convert.Exports // instead of job's outputs: files for another program
	result ConvertResult

	adapters                 []*peft.Adapter
	merger                   *peft.Merger     // nil: no adapters
	equalised                *equalise.Scales // nil: not asked for
	aboutEqualised           string           // for the file
	adapterID, aboutAdapters string           // all that merging depends on; and for the file
}

func (c *conversion) close() {
	if c.crew != nil {
		c.crew.Close()
	}
	_ = errors.Join(c.closeAdapters(), c.ck.Close()) // only read
}

func (c *conversion) run(ctx context.Context) error {
	if c.export != nil {
		return c.export.Run(ctx, c.crew)
	}
	return c.job.Run(ctx, c.crew)
}

// newConversion prepares a conversion, or one that is only planned.
func newConversion(ctx context.Context, source string, o *ConvertOptions, planned bool) (*conversion, error) {
	if o == nil {
		o = &ConvertOptions{}
	}
	openFile := checkpoint.Open
	if o.IgnoreUnknown {
		openFile = checkpoint.OpenIgnoringUnknown
	}
	ck, err := openCheckpoint(source, openFile)
	if err != nil {
		return nil, err
	}
	return prepareConversion(ctx, source, ck, o, planned)
}

func prepareConversion(ctx context.Context, source string, ck *checkpoint.Checkpoint, o *ConvertOptions, planned bool) (*conversion, error) {
	c := &conversion{ck: ck}
	if o.Threads < 0 || o.Memory < 0 {
		c.close()
		return nil, fmt.Errorf("threads and memory: want 0 (the default) or more, found %d and %d", o.Threads, o.Memory)
	}
	if err := c.plan(ctx, displayName(source), o, planned); err != nil {
		c.close()
		return nil, fmt.Errorf("convert %s: %w", displayName(source), err)
	}
	return c, nil
}

// plan prepares the job and its description.
func (c *conversion) plan(ctx context.Context, source string, o *ConvertOptions, planned bool) error {
	c.job = &convert.Job{Source: c.ck, AllowNonFinite: o.AllowNonFinite, Memory: o.Memory, Notice: o.Warn}
	c.job.Progress = func(p convert.Progress) {
		c.result.Resumed, c.result.SourceBytes = p.Resumed, p.Total
		if o.Progress != nil {
			o.Progress(ConvertProgress(p))
		}
	}
	c.crew = parallel.New(cmp.Or(o.Threads, parallel.Cores()))
	c.result.Warnings = append(c.result.Warnings, c.ck.Notes...)
	if err := c.openAdapters(o.Adapters); err != nil {
		return err
	}
	if o.To != "" && o.To != FormatOwn {
		return c.planExport(source, o)
	}
	base, err := convertOptions(c.ck, source, o)
	if err != nil {
		return err
	}
	types := o.Types
	if len(types) == 0 {
		types = []string{DefaultType}
	}
	if err := c.optimise(ctx, types, o, planned); err != nil {
		return err
	}
	base.Change, c.job.Change, c.job.ChangeID = c.change(), c.change(), c.adapterID
	if c.equalised != nil {
		c.job.ChangeID += " " + c.equalised.ID()
	}
	for i, name := range types {
		opts := *base
		if opts.Type, err = quant.ParseSpec(name); err != nil {
			return err
		}
		for _, other := range types[:i] {
			if other == name {
				return fmt.Errorf("types: want each once, found %s twice", name)
			}
		}
		if !o.NoReport {
			opts.ReportSpace = reportSpace(1 + len(checkpoint.Parameters(&c.ck.Config)))
		}
		finer, err := c.hybrid(o, opts.Type, opts.Rules)
		if err != nil {
			return err
		}
		opts.Rules = append(finer, opts.Rules...) // Tensors count last
		opts.Provenance = provenance(c.ck, source, name, o)
		if o.Hybrid > 0 {
			opts.Provenance["hybrid"] = fmt.Sprint(o.Hybrid)
		}
		if c.aboutAdapters != "" {
			opts.Provenance["adapters"] = c.aboutAdapters
		}
		if c.aboutEqualised != "" {
			opts.Provenance["equalised"] = c.aboutEqualised
		}
		plan, err := convert.Own(c.ck, &opts)
		if err != nil {
			return err
		}
		path := outputPath(o.Output, source, name, opts.Mixed(), len(types) > 1)
		c.job.Outputs = append(c.job.Outputs, convert.Output{Path: path, Format: plan, Overwrite: o.Force})
		c.result.Files = append(c.result.Files, describePlan(path, name, plan, c.ck))
		if w := twice(plan); w != "" {
			c.result.Warnings = append(c.result.Warnings, name+": "+w)
		}
	}
	c.result.SourceBytes = c.job.SourceBytes()
	c.warn(o)
	return nil
}

// warn tells what a person should know before work begins.
func (c *conversion) warn(o *ConvertOptions) {
	if o.Warn != nil {
		for _, w := range c.result.Warnings {
			o.Warn(w)
		}
	}
}

// twice warns of matrices that lose to rounding a second time.
func twice(p *convert.Plan) string {
	for _, m := range p.Matrices {
		if m.Twice {
			return fmt.Sprintf("the source's weights are rounded already (%s is %s), rounding them again loses more; convert from the original checkpoint if you can", m.Name, m.Source)
		}
	}
	return ""
}
