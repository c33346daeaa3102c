package checkpoint

import (
	"fmt"
	"maps"
	"slices"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// Plain describes a model for files of other programs. The same Plain gives the same bytes.
type Plain struct {
	Name         string
	Config       arch.Config
	Types        map[string]gguf.Type // how each matrix is stored, by GGUF name; I8: int8 with a float32 scale per row (compressed-tensors)
	Norms        gguf.Type            // how norms are stored in folders; GGUF has F32
	Vocab        *tokenizer.Vocab     // nil: none
	ChatTemplate string
	EOS          []int32
	Generation   Generation
	Provenance   map[string]string
}

// PlainFile is a file of another program in which everything has its place before any weight is known: Header, then the
// tensors, zeros in between.
type PlainFile struct {
	Name    string // in its folder; "" for GGUF
	Header  []byte
	Size    int64
	Tensors map[string]PlainTensor // by GGUF name
}

// PlainTensor is where a parameter lies: Rows rows of RowBytes each from Offset on. A norm is one row.
type PlainTensor struct {
	Type            gguf.Type
	Rows, Cols      int
	Offset          int64
	RowBytes        int
	ScaleOffset     int64 // of I8: where a float32 per row lies
	PlusOne, IsNorm bool  // a norm, stored as w+1 or as w
}

// fileTypes are the values of general.file_type: what most tensors of a file are.
var fileTypes = map[gguf.Type]uint32{gguf.F32: 0, gguf.F16: 1, gguf.Q4_0: 2, gguf.Q4_1: 3, gguf.Q8_0: 7, gguf.Q5_0: 8, gguf.Q5_1: 9, gguf.BF16: 32}

// alternating says whether layers slide and see all in turn, as all programs that read a file without a list of layers have it.
func alternating(c *arch.Config) bool {
	usual := *c
	usual.AlternateLayers()
	return slices.Equal(usual.Global, c.Global)
}

// PlainGGUF plans a GGUF file as llama.cpp reads it, and tells in notes what the file can't say and does not need. What it can't say
// and needs is an error: llama.cpp would compute something else.
func (m *Plain) PlainGGUF() (f *PlainFile, notes []string, err error) {
	if err := m.checkGGUF(); err != nil {
		return nil, nil, fmt.Errorf("%w; GGUF files can't say so: choose our own format or safetensors", err)
	}
	f = &PlainFile{Tensors: map[string]PlainTensor{}}
	var sources []gguf.Source
	for _, s := range specs(&m.Config) {
		typ, ok := m.Types[s.name]
		if len(s.shape) == 1 {
			typ, ok = gguf.F32, true
		}
		if !ok || !slices.Contains(gguf.Encodable, typ) {
			return nil, nil, fmt.Errorf("tensor %s: want one of %v, found %v", s.name, gguf.Encodable, typ)
		}
		sources = append(sources, gguf.Source{Name: s.name, Type: typ, Shape: s.shape})
	}
	entries, notes := m.ggufEntries()
	if f.Header, err = gguf.AppendHeader(nil, entries, sources); err != nil {
		return nil, nil, err
	}
	f.Size = int64(len(f.Header))
	for _, s := range sources {
		t := plainTensor(s.Type, s.Shape)
		if t.RowBytes, err = s.Type.RowSize(t.Cols); err != nil {
			return nil, nil, fmt.Errorf("tensor %s: %w; choose f16 or bf16", s.Name, err)
		}
		t.Offset, t.PlusOne = f.Size, t.IsNorm
		f.Tensors[s.Name] = t
		size := int64(t.Rows) * int64(t.RowBytes)
		f.Size += size + -size&(ggufAlignment-1)
	}
	return f, notes, nil
}

// ggufAlignment is the format's default, which files of llama.cpp have.
const ggufAlignment = 32

func plainTensor(typ gguf.Type, shape []int) PlainTensor {
	if len(shape) == 1 {
		return PlainTensor{Type: typ, Rows: 1, Cols: shape[0], IsNorm: true}
	}
	return PlainTensor{Type: typ, Rows: shape[0], Cols: shape[1]}
}

// checkGGUF refuses what llama.cpp has no key for.
func (m *Plain) checkGGUF() error {
	c := &m.Config
	if err := c.Validate(); err != nil {
		return err
	}
	inferred := (&metadata{file: &gguf.File{}}).queryScalar(c)
	switch {
	case !c.TieEmbeddings:
		return fmt.Errorf("tensor %s: found a head of its own, want the embedding's (llama.cpp has no other for Gemma 2)", head)
	case c.QueryPreAttnScalar != inferred:
		return fmt.Errorf("query_pre_attn_scalar: want %v (from the sizes), found %v", inferred, c.QueryPreAttnScalar)
	case !alternating(c):
		return fmt.Errorf("layer_types: want sliding and full attention in turn, found another order")
	case c.AttnSoftcap == 0 || c.FinalSoftcap == 0:
		return fmt.Errorf("attn_logit_softcapping and final_logit_softcapping: want both, found %v and %v", c.AttnSoftcap, c.FinalSoftcap)
	case float64(float32(c.RopeTheta)) != c.RopeTheta:
		return fmt.Errorf("rope_theta: want a float32, found %v", c.RopeTheta)
	case m.Vocab != nil && len(m.Vocab.Pieces) > c.VocabSize:
		return fmt.Errorf("tokenizer: want at most %d pieces (the embedding's rows), found %d", c.VocabSize, len(m.Vocab.Pieces))
	}
	return nil
}

// ggufEntries is the metadata as llama.cpp's own converter writes it.
func (m *Plain) ggufEntries() (list []gguf.Entry, notes []string) {
	list = append([]gguf.Entry{
		{Key: "general.architecture", Value: "gemma2"},
		{Key: "general.type", Value: "model"},
		{Key: "general.name", Value: m.Name},
		{Key: "general.quantization_version", Value: uint32(2)},
	}, configEntries(&m.Config)...)
	if n, ok := fileTypes[m.Types["blk.0.attn_q.weight"]]; ok {
		list = append(list, gguf.Entry{Key: "general.file_type", Value: n})
	}
	if m.Vocab == nil {
		list = append(list, gguf.Entry{Key: "tokenizer.ggml.model", Value: "no_vocab"})
	} else {
		list = append(list, vocabEntries(plainVocab(m.Vocab, m.Config.VocabSize))...)
		list = append(list, gguf.Entry{Key: "tokenizer.ggml.add_bos_token", Value: true}, gguf.Entry{Key: "tokenizer.ggml.add_eos_token", Value: false})
		if m.ChatTemplate != "" {
			list = append(list, gguf.Entry{Key: "tokenizer.chat_template", Value: m.ChatTemplate})
		}
	}
	list = append(list, m.Generation.entries()...)
	for _, key := range slices.Sorted(maps.Keys(m.Provenance)) {
		list = append(list, gguf.Entry{Key: provenanceKey + key, Value: m.Provenance[key]})
	}
	known, _ := endIDs(m.Vocab) // without lists, no id is wrong
	for _, id := range m.EOS {
		if !slices.Contains(known, id) {
			notes = append(notes, fmt.Sprintf("end id %d: left out, GGUF names the ends of a text and of a turn only", id))
		}
	}
	return list, notes
}

// plainVocab is v as llama.cpp wants it: a piece for each row of the embedding, roles by number, and control tokens of that type,
// whatever SentencePiece calls them: llama.cpp would take user-defined ones out of any text.
func plainVocab(v *tokenizer.Vocab, rows int) *tokenizer.Vocab {
	p := *v
	p.Pieces = slices.Clone(v.Pieces)
	for _, r := range []struct {
		id   *int32
		text string
	}{{&p.BOS, "<bos>"}, {&p.EOS, "<eos>"}, {&p.PAD, "<pad>"}, {&p.UNK, "<unk>"}, {&p.EndOfTurn, "<end_of_turn>"}} {
		if *r.id = role(v, *r.id, r.text); *r.id >= 0 && p.Pieces[*r.id].Type != tokenizer.Unknown && r.text != "<unk>" {
			p.Pieces[*r.id].Type = tokenizer.Control
		}
	}
	if id := role(v, -1, "<start_of_turn>"); id >= 0 {
		p.Pieces[id].Type = tokenizer.Control
	}
	if p.UNK >= 0 {
		p.Pieces[p.UNK].Type = tokenizer.Unknown
	}
	p.Control = tokenizer.ControlByRole
	for i := len(p.Pieces); i < rows; i++ {
		p.Pieces = append(p.Pieces, tokenizer.Piece{Text: fmt.Sprintf("[PAD%d]", i), Type: tokenizer.Unused})
	}
	return &p
}
