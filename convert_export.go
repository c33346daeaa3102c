package systemgemma

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/convert"
	"github.com/systemgemma/systemgemma/internal/text/template"
)

// Formats that Convert makes: ConvertOptions.To.
const (
	// FormatOwn is the product's own, ready for the kernels.
	FormatOwn = "systemgemma"
	// FormatGGUF is a plain GGUF file, as llama.cpp reads it.
	FormatGGUF = string(convert.ToGGUF)
	// FormatSafetensors is a folder as transformers reads it.
	FormatSafetensors = string(convert.ToSafetensors)
	// FormatCompressed is a folder with int8 weights (compressed-tensors W8A8) as vLLM and transformers read it.
	FormatCompressed = string(convert.ToCompressed)
)

// planExport prepares files for another program.
func (c *conversion) planExport(source string, o *ConvertOptions) error {
	if !slices.Contains(convert.Targets, convert.Target(o.To)) {
		return fmt.Errorf("format: want one of %s %v, found %q", FormatOwn, convert.Targets, o.To)
	}
	switch {
	case o.Optimise || o.Calibration != nil:
		return fmt.Errorf("optimisation: want a file of the product's own, found format %s", o.To)
	case len(o.Types) > 1:
		return fmt.Errorf("types: want one in format %s, found %d", o.To, len(o.Types))
	case o.Hybrid != 0:
		return fmt.Errorf("hybrid: want format %s, found %s", FormatOwn, o.To)
	case o.SystemMode != "" && o.SystemMode != string(template.UserTemplate):
		return fmt.Errorf("system mode %s: format %s has no place for it; want none, or a template", o.SystemMode, o.To)
	}
	if err := o.checkTemplate(); err != nil {
		return err
	}
	x := convert.ExportOptions{
		To: convert.Target(o.To), Embedding: o.Embedding, Head: o.Head, Name: cmp.Or(o.Name, modelName(c.ck, source)), Overwrite: o.Force,
		AllowNonFinite: o.AllowNonFinite, Memory: o.Memory, Progress: c.job.Progress, Notice: o.Warn,
		Provenance: map[string]string{"tool": "systemgemma " + moduleVersion()},
	}
	if len(o.Types) == 1 {
		x.Type = o.Types[0]
	}
	if o.Template != "" {
		x.ChatTemplate = &o.Template
	}
	if c.merger != nil {
		x.Change, x.ChangeID = c.merger, c.adapterID
		x.Provenance["adapters"] = c.aboutAdapters
	}
	for _, t := range o.Tensors {
		re, err := regexp.Compile(t.Pattern)
		if err != nil {
			return fmt.Errorf("tensor pattern: %w", err)
		}
		x.Rules = append(x.Rules, convert.TypeRule{Pattern: re, Type: t.Type})
	}
	path, typ := o.Output, cmp.Or(x.Type, defaultExportType(o.To))
	if path == "" {
		path = strings.TrimSuffix(outputPath("", source, typ, x.Embedding != "" || x.Head != "" || len(x.Rules) > 0, false), ".gguf")
		if o.To == FormatGGUF {
			path += ".gguf"
		}
	}
	var err error
	if c.export, err = convert.Export(c.ck, path, x); err != nil {
		return err
	}
	c.result.Warnings = append(c.result.Warnings, c.export.Notes...)
	c.result.Files = []ConvertedFile{describeExport(path, typ, c.export, c.ck)}
	for _, t := range c.ck.Tensors {
		c.result.SourceBytes += int64(len(t.Data))
	}
	for _, m := range c.ck.Matrices {
		c.result.SourceBytes += matrixBytes(&m)
	}
	c.warn(o)
	return nil
}

// defaultExportType names what most matrices become.
func defaultExportType(to string) string {
	switch to {
	case FormatGGUF:
		return "q8_0"
	case FormatCompressed:
		return "w8a8"
	}
	return to
}
