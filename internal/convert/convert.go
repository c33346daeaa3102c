// Package convert turns an opened checkpoint into files: reads each tensor piece by piece, lets adapters change it, rounds it on
// all workers for each output, and writes it where it belongs, so that memory stays small whatever the model's size, and work
// that was interrupted goes on.
//
// It must not know how a product is computed, what an adapter is, nor what the bytes of a file mean beyond its own format.
package convert

import (
	"context"
	"fmt"
	"maps"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// Options say what a file of our own shall be.
type Options struct {
	Kinds
	Name           string            // general.name of the file
	SystemMode     string            // "": left to the template
	ChatTemplate   *string           // nil: the source's
	ReportSpace    int               // bytes reserved for a report, see Job.Report; 0: none
	Provenance     map[string]string // what to record besides weights and source format
	Change         Change            // nil: none
	AllowNonFinite bool              // weights that are no finite number are let in: integers take 0 for NaN, and a row's largest magnitude for infinities
}

// Own plans a file of our own: a Format for a Job with the same Change.
func Own(ck *checkpoint.Checkpoint, o *Options) (*Plan, error) {
	if err := ck.Runnable(); err != nil {
		return nil, err
	}
	tied := ck.Config.TieEmbeddings
	untied := tied && (o.untie() || o.Change != nil && o.Change.Unties())
	in, err := inputs(ck, o.Change, untied)
	if err != nil {
		return nil, err
	}
	specs, err := o.specs(in, tied)
	if err != nil {
		return nil, err
	}
	m := &checkpoint.Model{
		Name: o.Name, Config: ck.Config, Vocab: ck.Vocab, ChatTemplate: ck.ChatTemplate, SystemMode: o.SystemMode, EOS: ck.EOS, Generation: ck.Generation,
		ReportSpace: o.ReportSpace, Provenance: map[string]string{"weights": o.Type.Format(), "source_format": string(ck.Format)},
	}
	m.Config.TieEmbeddings = tied && !untied
	if o.ChatTemplate != nil {
		m.ChatTemplate = *o.ChatTemplate
	}
	maps.Copy(m.Provenance, o.Provenance)
	f, err := newOwnFormat(in, specs, m, ck.NormPlusOne, o.AllowNonFinite)
	if err != nil {
		return nil, err
	}
	return &Plan{ownFormat: f, Matrices: f.matrices(in), Tied: m.Config.TieEmbeddings}, nil
}

// Plan is a file of our own to be made.
type Plan struct {
	*ownFormat
	Matrices []Matrix // in the order of the file
	Tied     bool     // the head is the embedding
}

// Matrix is one matrix of a plan.
type Matrix struct {
	Parameter
	Source string // how the source stores it
	Spec   quant.Spec
	Bytes  int64 // in memory and in the file, scales included
	Kept   bool  // it holds what the source stores, nothing is rounded
	Twice  bool  // it is rounded again to fewer than 16 bits
}

// matrices describes all matrices of the file.
func (f *ownFormat) matrices(in []*Input) (list []Matrix) {
	for _, i := range in {
		if i.Cols == 0 {
			continue
		}
		spec, kept := f.specs[i.Name], f.kept[i.Name]
		list = append(list, Matrix{
			Parameter: i.Parameter, Source: i.Kind(), Spec: spec, Bytes: spec.Bytes(i.Rows, i.Cols),
			Kept: kept, Twice: i.Quantised() && !kept && spec.Layout.Bits() < 16,
		})
	}
	return list
}

// File makes or replaces the file of our own at path.
func File(ctx context.Context, ck *checkpoint.Checkpoint, path string, o Options, crew *parallel.Crew) error {
	plan, err := Own(ck, &o)
	if err == nil {
		err = (&Job{Source: ck, Outputs: []Output{{Path: path, Format: plan, Overwrite: true}}, Change: o.Change, AllowNonFinite: o.AllowNonFinite}).Run(ctx, crew)
	}
	if err != nil {
		return fmt.Errorf("convert %s: %w", ck.Path, err)
	}
	return nil
}
