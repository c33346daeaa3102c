package cli

import (
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// convertJSON is what convert --json writes.
type convertJSON struct {
	systemgemma.ConvertResult
	DryRun  bool    `json:"dry_run"`
	Seconds float64 `json:"seconds"` // of a dry run: an estimate, the disk apart
}

// tell writes what was made, or would be.
func (c *convertCmd) tell(env *Env, r *systemgemma.ConvertResult) error {
	if c.JSON {
		x := convertJSON{*r, c.DryRun, r.Elapsed.Seconds()}
		x.Warnings = list(x.Warnings)
		return writeJSON(env, x)
	}
	var b strings.Builder
	if c.DryRun {
		for i := range r.Files {
			planText(&b, &r.Files[i])
		}
		needText(&b, r)
	}
	for _, x := range r.AdapterChanges {
		fmt.Fprintf(&b, "merged %-28s changed by %6.2f %%\n", x.Name, 100*x.Relative)
	}
	switch {
	case len(r.Files) > 1:
		compareText(&b, r)
	case !c.DryRun:
		fmt.Fprintf(&b, "%s: %s, %s\n", r.Files[0].Path, r.Files[0].Type, size(r.Files[0].Bytes))
		if q := r.Files[0].Quality; q != nil {
			qualityText(&b, q, c.Source+" in float32 arithmetic", r.Files[0].Path)
		}
	}
	return write(env.Stdout, b.String())
}

// planText lists the parts of a file.
func planText(b *strings.Builder, f *systemgemma.ConvertedFile) {
	fmt.Fprintf(b, "%s (%s)\n", f.Path, f.Type)
	fmt.Fprintf(b, "  %-12s %-13s %8s %14s %12s %12s\n", "part", "type", "tensors", "weights", "bits/weight", "size")
	for _, p := range f.Parts {
		fmt.Fprintf(b, "  %-12s %-13s %8d %14d %12.2f %12s\n", p.Part, p.Type, p.Tensors, p.Weights, bits(p.Bytes, p.Weights), size(p.Bytes))
	}
	fmt.Fprintf(b, "  %-12s %s\n", "file", size(f.Bytes))
	fmt.Fprintf(b, "  %-12s %s: weights %s, keys and values of %d tokens up to %s\n\n", "run time", size(f.WeightBytes+f.KVBytes), size(f.WeightBytes), f.Context, size(f.KVBytes))
}

func bits(bytes, weights int64) float64 { return 8 * float64(bytes) / float64(max(weights, 1)) }

// needText tells what the work itself takes.
func needText(b *strings.Builder, r *systemgemma.ConvertResult) {
	free := "not known"
	if r.DiskFree > 0 {
		free = size(r.DiskFree) + " free"
	}
	fmt.Fprintf(b, "disk         %s needed, %s\n", size(r.DiskNeeded), free)
	if r.Elapsed == 0 {
		return // another program's format: not estimated
	}
	fmt.Fprintf(b, "time         about %.1f s to read %s and round it on this machine, the disk apart\n", r.Elapsed.Seconds(), size(r.SourceBytes))
}

// compareText is the table of several files.
func compareText(b *strings.Builder, r *systemgemma.ConvertResult) {
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%-13s %12s %12s %12s %10s %10s %9s %12s  %s\n", "type", "bits/weight", "file", "run time", "KL mean", "KL 99 %", "top-1", "perplexity", "path")
	for _, f := range r.Files {
		weights := int64(0)
		for _, p := range f.Parts {
			weights += p.Weights
		}
		kl, kl99, top1, perplexity := "-", "-", "-", "-" // no report
		if q := f.Quality; q != nil {
			kl, kl99, top1, perplexity = fmt.Sprintf("%.3g", q.All.KL), fmt.Sprintf("%.3g", q.All.KL99), percent(q.All.Top1), fmt.Sprintf("%.5g", q.All.PerplexityB)
		}
		fmt.Fprintf(b, "%-13s %12.2f %12s %12s %10s %10s %9s %12s  %s\n", f.Type, bits(f.WeightBytes, weights), size(f.Bytes), size(f.WeightBytes+f.KVBytes), kl, kl99, top1, perplexity, f.Path)
	}
}
