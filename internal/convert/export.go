package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
)

// Target is a format of other programs.
type Target string

// The targets.
const (
	ToGGUF        Target = "gguf"               // a file as llama.cpp reads it
	ToSafetensors Target = "safetensors"        // a folder as transformers reads it
	ToCompressed  Target = "compressed-tensors" // a folder with int8 weights as vLLM and transformers read it
)

// Targets lists them.
var Targets = []Target{ToGGUF, ToSafetensors, ToCompressed}

// ExportOptions say what to make for another program.
type ExportOptions struct {
	To Target
	// Type is how matrices are stored, by its name in lower case; "": q8_0 in GGUF, w8a8 in a compressed-tensors folder, in a safetensors
	// folder the source's own type, bf16 if it is quantised.
	Type string
	// Embedding is that of the embedding and Head that of the output head; "": Type, in a compressed-tensors folder bf16.
	Embedding, Head string
	Rules           []TypeRule // the last one that matches a matrix' name counts
	Name            string     // general.name of a GGUF file
	ChatTemplate    *string    // nil: the source's
	Provenance      map[string]string
	Overwrite       bool
	Change          Change
	ChangeID        string
	AllowNonFinite  bool // of floats only: blocks and int8 have no such numbers
	Memory          int64
	Progress        func(Progress)
	Notice          func(string)

	maxShard int64 // 0: checkpoint.MaxShard
}

// TypeRule gives a type to all matrices whose GGUF name the pattern matches anywhere.
type TypeRule struct {
	Pattern *regexp.Regexp
	Type    string
}

// exportTypes are the types of matrices that a target has.
var exportTypes = map[Target][]gguf.Type{
	ToGGUF:        gguf.Encodable,
	ToSafetensors: {gguf.F32, gguf.F16, gguf.BF16},
	ToCompressed:  {gguf.I8, gguf.F32, gguf.F16, gguf.BF16},
}

// typeName is how commands call a type.
func typeName(t gguf.Type) string {
	if t == gguf.I8 {
		return "w8a8"
	}
	return strings.ToLower(t.String())
}

// ParseExportType returns the type of a name that a target has.
func ParseExportType(to Target, name string) (gguf.Type, error) {
	var names []string
	for _, t := range exportTypes[to] {
		if typeName(t) == name {
			return t, nil
		}
		names = append(names, typeName(t))
	}
	if names == nil {
		return 0, fmt.Errorf("target format: want one of %v, found %.40q", Targets, string(to))
	}
	return 0, fmt.Errorf("type of weights in %s: want one of %s, found %.40q", to, strings.Join(names, ", "), name)
}

// Exports is a file or a folder for another program to be made.
type Exports struct {
	Types map[string]gguf.Type // of matrices, by GGUF name
	Bytes int64                // weights and headers
	Notes []string             // what the format can't say and does not need

	options ExportOptions
	path    string
	source  *checkpoint.Checkpoint
	files   []*checkpoint.PlainFile
	side    []checkpoint.SideFile
}

// Export plans what o asks for, to be at path.
func Export(ck *checkpoint.Checkpoint, path string, o ExportOptions) (*Exports, error) {
	if err := ck.Runnable(); err != nil {
		return nil, err
	}
	e := &Exports{options: o, path: path, source: ck}
	p, err := e.describe()
	if err != nil {
		return nil, err
	}
	if o.To == ToGGUF {
		f, notes, err := p.PlainGGUF()
		if err != nil {
			return nil, err
		}
		e.files, e.Notes = []*checkpoint.PlainFile{f}, notes
	} else {
		source := ""
		if ck.Format == checkpoint.HuggingFace && ck.Vocab != nil {
			source = ck.Path
		}
		f, err := p.PlainFolder(source, cmp.Or(o.maxShard, checkpoint.MaxShard))
		if err != nil {
			return nil, err
		}
		e.files, e.side = f.Shards, f.Files
	}
	for _, f := range e.files {
		e.Bytes += f.Size
	}
	return e, nil
}

// describe is all that the output says besides its weights.
func (e *Exports) describe() (*checkpoint.Plain, error) {
	ck, o := e.source, &e.options
	config := ck.Config
	config.TieEmbeddings = config.TieEmbeddings && !(o.Change != nil && o.Change.Unties())
	var err error
	if e.Types, err = e.types(parameters(&config)); err != nil {
		return nil, err
	}
	p := &checkpoint.Plain{
		Name: o.Name, Config: config, Types: e.Types, Vocab: ck.Vocab, ChatTemplate: ck.ChatTemplate, EOS: ck.EOS, Generation: ck.Generation,
		Provenance: map[string]string{"source_format": string(ck.Format)},
	}
	if o.ChatTemplate != nil {
		p.ChatTemplate = *o.ChatTemplate
	}
	maps.Copy(p.Provenance, o.Provenance)
	if p.Norms = e.Types[embedding]; p.Norms == gguf.I8 || !slices.Contains(exportTypes[ToSafetensors], p.Norms) {
		p.Norms = gguf.F32
	}
	return p, nil
}

// types gives each matrix its type.
func (e *Exports) types(list []Parameter) (map[string]gguf.Type, error) {
	o := &e.options
	main, apart := o.Type, ""
	switch {
	case o.To == ToCompressed:
		apart = typeName(e.float())
		if main == "" {
			main = typeName(gguf.I8)
		}
	case main == "" && o.To == ToGGUF:
		main = typeName(gguf.Q8_0)
	case main == "":
		main = typeName(e.float())
	}
	types, used := map[string]gguf.Type{}, make([]bool, len(o.Rules))
	for _, p := range list {
		name := main
		switch {
		case p.Cols == 0:
			continue
		case p.Name == embedding:
			name = cmp.Or(o.Embedding, apart, main)
		case p.Name == head:
			name = cmp.Or(o.Head, apart, main)
		}
		for i, r := range o.Rules {
			if r.Pattern.MatchString(p.Name) {
				name, used[i] = r.Type, true
			}
		}
		t, err := ParseExportType(o.To, name)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", p.Name, err)
		}
		types[p.Name] = t
	}
	if i := slices.Index(used, false); i >= 0 {
		return nil, fmt.Errorf("tensor pattern %q: want some matrix, found none of that name", o.Rules[i].Pattern)
	}
	if _, ok := types[head]; o.Head != "" && !ok && o.Head != typeName(types[embedding]) {
		return nil, fmt.Errorf("type of the head: want the embedding's, %s (they are one matrix in %s), found %s", typeName(types[embedding]), o.To, o.Head)
	}
	return types, nil
}

// float is the source's own float type, bf16 if it has another.
func (e *Exports) float() gguf.Type {
	if t, ok := e.source.Tensors[embedding]; ok && slices.Contains(exportTypes[ToSafetensors], t.Type) {
		return t.Type
	}
	if m, ok := e.source.Matrices[embedding]; ok {
		for _, t := range exportTypes[ToSafetensors] {
			if m.Layout.String() == t.String() {
				return t
			}
		}
	}
	return gguf.BF16
}

// Run makes the file or the folder, in full or not at all. What is done when it fails, or ctx ends, is kept for the next attempt.
func (e *Exports) Run(ctx context.Context, crew *parallel.Crew) error {
	if e.options.To == ToGGUF {
		return e.job([]string{e.path}, e.options.Overwrite).Run(ctx, crew)
	}
	f := &folder{path: e.path, overwrite: e.options.Overwrite}
	var names, paths []string
	for _, x := range e.files {
		names, paths = append(names, x.Name), append(paths, f.in(x.Name))
	}
	for _, s := range e.side {
		names = append(names, s.Name)
	}
	if err := f.begin(e.source, names); err != nil {
		return err
	}
	if err := e.job(paths, true).Run(ctx, crew); err != nil {
		return err
	}
	for _, s := range e.side {
		if err := errors.Join(context.Cause(ctx), f.write(s)); err != nil {
			return err
		}
	}
	return f.finish()
}

func (e *Exports) job(paths []string, overwrite bool) *Job {
	o := &e.options
	j := &Job{Source: e.source, Change: o.Change, ChangeID: o.ChangeID, AllowNonFinite: o.AllowNonFinite, Memory: o.Memory, Progress: o.Progress, Notice: o.Notice}
	for i, f := range e.files {
		j.Outputs = append(j.Outputs, Output{Path: paths[i], Overwrite: overwrite, Format: &plainFormat{PlainFile: f, plusOne: e.source.NormPlusOne}})
	}
	return j
}

// Part is a tensor that an export stores.
type Part struct {
	Name       string // in GGUF
	Type       string
	Rows, Cols int // a norm is one row
	Norm       bool
	Bytes      int64
}

// Parts lists the tensors, by name.
func (e *Exports) Parts() []Part {
	var list []Part
	for _, f := range e.files {
		for name, t := range f.Tensors {
			p := Part{name, typeName(t.Type), t.Rows, t.Cols, t.IsNorm, int64(t.Rows) * int64(t.RowBytes)}
			if t.Type == gguf.I8 {
				p.Bytes += 4 * int64(t.Rows)
			}
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Part) int { return strings.Compare(a.Name, b.Name) })
	return list
}
