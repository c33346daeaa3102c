package systemgemma

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/convert"
	"github.com/systemgemma/systemgemma/internal/text/template"
)

// checkTemplate reports a template that can't be used, or that goes with no such system mode.
func (o *ConvertOptions) checkTemplate() error {
	custom := string(template.UserTemplate)
	if o.Template == "" {
		if o.SystemMode == custom {
			return errors.New("system mode custom: want a template beside it, found none")
		}
		return nil
	}
	if o.SystemMode != "" && o.SystemMode != custom {
		return fmt.Errorf("template: want system mode custom or none beside it, found %s", o.SystemMode)
	}
	if _, err := template.ParseCustom(o.Template); err != nil {
		return fmt.Errorf("template: %w", err)
	}
	return nil
}

// convertOptions is what all files of a conversion share.
func convertOptions(ck *checkpoint.Checkpoint, source string, o *ConvertOptions) (*convert.Options, error) {
	opts := &convert.Options{Name: cmp.Or(o.Name, modelName(ck, source)), SystemMode: cmp.Or(o.SystemMode, ck.SystemMode), AllowNonFinite: o.AllowNonFinite}
	if err := o.checkTemplate(); err != nil {
		return nil, err
	}
	if o.Template != "" {
		opts.ChatTemplate, opts.SystemMode = &o.Template, string(template.UserTemplate)
	}
	if opts.SystemMode == string(template.Auto) {
		opts.SystemMode = ""
	}
	if opts.SystemMode != "" {
		if _, err := template.ParseMode(opts.SystemMode); err != nil {
			return nil, err
		}
	}
	for _, k := range []struct {
		what, name string
		spec       **quant.Spec
	}{{"embedding", o.Embedding, &opts.Embedding}, {"head", o.Head, &opts.Head}} {
		if k.name == "" {
			continue
		}
		s, err := quant.ParseSpec(k.name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.what, err)
		}
		*k.spec = &s
	}
	for _, t := range o.Tensors {
		re, err := regexp.Compile(t.Pattern)
		if err != nil {
			return nil, fmt.Errorf("tensor pattern: %w", err)
		}
		s, err := quant.ParseSpec(t.Type)
		if err != nil {
			return nil, fmt.Errorf("tensor pattern %q: %w", t.Pattern, err)
		}
		opts.Rules = append(opts.Rules, convert.Rule{Pattern: re, Spec: s})
	}
	return opts, nil
}

// modelName is what the source calls itself.
func modelName(ck *checkpoint.Checkpoint, source string) string {
	return cmp.Or(ck.Metadata["general.name"], sourceName(source))
}

// sourceName is the last part of a path, without the ending of a file.
func sourceName(source string) string {
	if abs, err := filepath.Abs(source); err == nil && source != Mini {
		source = abs
	}
	return strings.TrimSuffix(filepath.Base(source), ".gguf")
}

// outputPath names the file of one type.
func outputPath(output, source, typ string, mixed, several bool) string {
	if output != "" && !several {
		return output
	}
	name := sourceName(source) + "-" + typ
	if mixed {
		name += "-mixed"
	}
	return filepath.Join(output, name+".gguf")
}

// provenance is what the file says about its making: nothing of this machine, no time, no path.
func provenance(ck *checkpoint.Checkpoint, source, typ string, o *ConvertOptions) map[string]string {
	const prefix = "systemgemma.provenance."
	p := map[string]string{"tool": "systemgemma " + moduleVersion(), "type": typ, "base": cmp.Or(ck.Metadata[prefix+"base"], ck.Metadata["general.name"], o.Name, sourceName(source))}
	if license := cmp.Or(ck.Metadata[prefix+"license"], ck.Metadata["general.license"]); license != "" {
		p["license"] = license
	}
	if e := ck.Metadata[equalisedKey]; e != "" {
		p["equalised"] = e
	}
	if ck.Format == checkpoint.Own {
		p["source_type"] = ck.Metadata[prefix+"weights"]
	}
	for key, value := range map[string]string{"embedding": o.Embedding, "head": o.Head} {
		if value != "" {
			p[key] = value
		}
	}
	var tensors []string
	for _, t := range o.Tensors {
		tensors = append(tensors, t.Pattern+"="+t.Type)
	}
	if tensors != nil {
		p["tensors"] = strings.Join(tensors, "\n")
	}
	if o.AllowNonFinite {
		p["allow_nonfinite"] = "true"
	}
	return p
}

// moduleVersion is this module's version in the program that it is part of.
func moduleVersion() string {
	const path = "github.com/systemgemma/systemgemma"
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	if build.Main.Path == path {
		return build.Main.Version
	}
	for _, d := range build.Deps {
		if d.Path == path {
			return d.Version
		}
	}
	return "(unknown)"
}
