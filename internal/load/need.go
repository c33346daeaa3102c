package load

import (
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// Memory is what a checkpoint's matrices take, in bytes, known before any is read.
type Memory struct {
	Weights  int64 // of all matrices, as Weights would have them
	Arranged int64 // of these, those that are made anew; the others stay in the mapped file
	Token    int64 // of the weights, what is read for a token: all but the embedding, or its head where that is the embedding
}

// Need tells what Weights would take.
func Need(ck *checkpoint.Checkpoint) (n Memory) {
	add := func(name string) (bytes int64) {
		if m, ok := ck.Matrices[name]; ok {
			bytes = m.Spec().Bytes(m.Rows, m.Cols)
		} else if t, ok := ck.Tensor(name); ok && len(t.Shape) == 2 {
			layout, grouping := layoutOf(t.Type)
			bytes = quant.Spec{Layout: layout, Grouping: grouping}.Bytes(t.Shape[0], t.Shape[1])
			n.Arranged += bytes
		}
		n.Weights += bytes
		n.Token += bytes
		return bytes
	}
	for _, p := range Parts(&ck.Config) {
		if p.Cols == 0 {
			continue
		}
		if bytes := add(p.Name); p.Name == "token_embd.weight" && !ck.Config.TieEmbeddings {
			n.Token -= bytes // one row is read
		}
	}
	if !ck.Config.TieEmbeddings {
		add("output.weight")
	}
	return n
}
