package systemgemma

import (
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/convert"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// describePlan sums up a file of our own that is to be made.
func describePlan(path, typ string, plan *convert.Plan, ck *checkpoint.Checkpoint) ConvertedFile {
	f := ConvertedFile{Path: path, Type: typ, Bytes: plan.Size()}
	quantised := false
	for _, m := range plan.Matrices {
		f.add(partOf(m.Name), m.Spec.Name(), int64(m.Rows)*int64(m.Cols), m.Bytes)
		quantised = quantised || m.Spec.Layout.Bits() < 16
	}
	for range 1 + 4*ck.Config.NumLayers {
		f.add("norms", "f32", int64(ck.Config.HiddenSize), 4*int64(ck.Config.HiddenSize))
	}
	f.runs(ck, quantised)
	return f
}

// describeExport sums up what is to be made for another program.
func describeExport(path, typ string, e *convert.Exports, ck *checkpoint.Checkpoint) ConvertedFile {
	f := ConvertedFile{Path: path, Type: typ, Bytes: e.Bytes}
	for _, p := range e.Parts() {
		part := partOf(p.Name)
		if p.Norm {
			part = "norms"
		}
		f.add(part, p.Type, int64(p.Rows)*int64(p.Cols), p.Bytes)
	}
	t := e.Types["blk.0.ffn_down.weight"]
	f.runs(ck, t != gguf.F32 && t != gguf.F16 && t != gguf.BF16)
	return f
}

// add counts a tensor.
func (f *ConvertedFile) add(part, typ string, weights, bytes int64) {
	i := 0
	for i < len(f.Parts) && (f.Parts[i].Part != part || f.Parts[i].Type != typ) {
		i++
	}
	if i == len(f.Parts) {
		f.Parts = append(f.Parts, ConvertPart{Part: part, Type: typ})
	}
	p := &f.Parts[i]
	p.Tensors++
	p.Weights += weights
	p.Bytes += bytes
	f.WeightBytes += bytes
}

// runs fills in what a full context takes when the file runs.
func (f *ConvertedFile) runs(ck *checkpoint.Checkpoint, quantised bool) {
	kv := gemma2.KVF32
	if quantised {
		kv = gemma2.KVF16
	}
	f.Context = ck.Config.MaxPositions
	f.KVBytes = gemma2.NewPool(&ck.Config, kv, 0).Need(f.Context)
}

// partOf is the part of the model that a matrix belongs to.
func partOf(name string) string {
	switch {
	case name == "token_embd.weight":
		return "embedding"
	case name == "output.weight":
		return "head"
	case strings.Contains(name, "attn"):
		return "attention"
	}
	return "feed-forward"
}
