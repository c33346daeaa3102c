package systemgemma

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/quality"
	"github.com/systemgemma/systemgemma/internal/text/passage"
)

// CompareOptions say how two models are compared. The zero value, and nil, mean defaults.
type CompareOptions struct {
	// Text is what both models read, at most MaxCompareText bytes. Empty: a short built-in text.
	Text string
	// Conversations are what both models read instead of Text, rendered as A's files say. Each ends with an answer of the assistant,
	// which is looked at; all before is given.
	Conversations [][]Message
	// PresetA and PresetB say how each model multiplies.
	PresetA, PresetB Preset
	// Threads is as in Options.
	Threads int
	// Progress, if not nil, is told how many steps are done of all.
	Progress func(done, total int)
}

// MaxCompareText bounds the text of a comparison, in bytes: all its tokens are in memory at the same time.
const MaxCompareText = 256 << 10

// Quality says how far model B is from model A. docs/convert.md has the formulas.
type Quality struct {
	Text   string `json:"text"`   // "built-in N", or the SHA-256 of the text or conversations
	Tokens int    `json:"tokens"` // that both models read
	// All is over all positions; Plain over those of the bare text, Turns over those of the same text as answers in
	// conversations with system prompts, whose other parts are given.
	All     Divergence      `json:"all"`
	Plain   Divergence      `json:"plain"`
	Turns   Divergence      `json:"turns"`
	Tensors []TensorQuality `json:"tensors,omitempty"` // nil if the models' shapes differ
	BytesA  int64           `json:"bytes_a"`           // of all matrices
	BytesB  int64           `json:"bytes_b"`
}

// Divergence compares next-token distributions, p of model A and q of model B. Logarithms are natural.
type Divergence struct {
	Positions   int     `json:"positions"`
	KL          float64 `json:"kl"` // mean over positions of the sum of p ln(p/q)
	KLMedian    float64 `json:"kl_median"`
	KL99        float64 `json:"kl_99"` // 99 % of the positions have no more
	KLMax       float64 `json:"kl_max"`
	Top1        float64 `json:"top1"` // share of positions where both find the same token most likely
	PerplexityA float64 `json:"perplexity_a"`
	PerplexityB float64 `json:"perplexity_b"`
}

// TensorQuality compares a matrix of model B with that of model A.
type TensorQuality struct {
	Name   string  `json:"name"`
	TypeA  string  `json:"type_a"`
	TypeB  string  `json:"type_b"`
	BytesA int64   `json:"bytes_a"`
	BytesB int64   `json:"bytes_b"`
	Error  float64 `json:"error"`  // Frobenius norm of B-A over that of A
	Cosine float64 `json:"cosine"` // of both matrices as vectors
}

// Compare runs models a and b, named as for Open, over one text and compares what they predict. They must have the same vocabulary.
// It works layer by layer, so that neither model need fit into memory; the same models and text give the same bits on every machine.
func Compare(ctx context.Context, a, b string, o *CompareOptions) (q Quality, err error) {
	if o == nil {
		o = &CompareOptions{}
	}
	for _, p := range []Preset{o.PresetA, o.PresetB} {
		if err := (&Options{Preset: p, Threads: o.Threads}).check(); err != nil {
			return q, err
		}
	}
	var sides [2]side
	crew := parallel.New(cmp.Or(o.Threads, parallel.Cores()))
	defer crew.Close()
	for i, name := range []string{a, b} {
		ck, err := openCheckpoint(name, checkpoint.Open)
		if err != nil {
			return q, err
		}
		defer ck.Close()
		if sides[i], err = newSide(ck, nil, []Preset{o.PresetA, o.PresetB}[i], crew); err != nil {
			return q, fmt.Errorf("open %s: %w", displayName(name), err)
		}
	}
	if q, err = compareSides(ctx, sides[0], sides[1], o, crew); err != nil {
		return q, fmt.Errorf("compare %s with %s: %w", displayName(a), displayName(b), err)
	}
	return q, nil
}

// side is one of two models.
type side struct {
	quality.Side
	text *Text
}

func newSide(ck *checkpoint.Checkpoint, change load.Change, preset Preset, crew *parallel.Crew) (s side, err error) {
	if !ck.HasConfig || len(ck.Tensors)+len(ck.Matrices) == 0 {
		return s, ErrNoWeights
	}
	if s.text, err = newText(ck, &Options{}); err != nil {
		return s, err
	}
	s.Arithmetic = preset.arithmetic()
	if s.KV, err = kvType(&Options{Preset: preset}, ck); err != nil {
		return s, err
	}
	s.Reader, err = load.NewReader(ck, change, crew)
	return s, err
}

func compareSides(ctx context.Context, a, b side, o *CompareOptions, crew *parallel.Crew) (q Quality, err error) {
	var groups []quality.Group
	if q.Text, groups, err = a.text.groups(o); err != nil {
		return q, err
	}
	if err := sameTokens(a.text, b.text); err != nil {
		return q, err
	}
	for _, g := range groups {
		for _, s := range g.Sequences {
			q.Tokens += len(s.Tokens)
		}
	}
	r, err := quality.Compare(ctx, a.Side, b.Side, groups, crew, o.Progress)
	if err != nil {
		return q, err
	}
	q.Plain, q.Turns, q.All = Divergence(r.Groups[0]), Divergence(r.Groups[1]), Divergence(r.All)
	if !sameShape(a, b) {
		return q, nil
	}
	list, err := quality.Tensors(ctx, a.Side, b.Side, crew, nil)
	for _, t := range list {
		q.Tensors = append(q.Tensors, TensorQuality{t.Name, t.KindA, t.KindB, t.BytesA, t.BytesB, t.Error, t.Cosine})
		q.BytesA += t.BytesA
		q.BytesB += t.BytesB
	}
	return q, err
}

// groups encodes the text of a comparison, bare and in turns, and names it.
func (t *Text) groups(o *CompareOptions) (name string, list []quality.Group, err error) {
	name, passages := passage.Version, passage.BuiltIn()
	conversations := o.Conversations
	switch {
	case o.Text != "" && conversations != nil:
		return "", nil, errors.New("text: want no conversations beside it, found both")
	case len(o.Text) > MaxCompareText:
		return "", nil, fmt.Errorf("text: want at most %d bytes, found %d", MaxCompareText, len(o.Text))
	case o.Text != "":
		name, passages = fmt.Sprintf("sha256 %x", sha256.Sum256([]byte(o.Text))), passage.Cut(o.Text)
	case conversations != nil:
		data, err := json.Marshal(conversations)
		if err != nil {
			return "", nil, err
		}
		if len(data) > MaxCompareText {
			return "", nil, fmt.Errorf("conversations: want at most %d bytes of JSON, found %d", MaxCompareText, len(data))
		}
		name, passages = fmt.Sprintf("sha256 %x", sha256.Sum256(data)), nil
	}
	plain, turns := quality.Group{Name: "plain text"}, quality.Group{Name: "turns"}
	for _, p := range passages {
		ids, _, err := t.promptIDs(Prompt{Text: p.Text})
		if err != nil {
			return "", nil, err
		}
		plain.Sequences = append(plain.Sequences, quality.Sequence{Tokens: ids, Given: 1})
		conversations = append(conversations, []Message{{"system", p.System}, {"user", p.User}, {"assistant", p.Text}})
	}
	for i, c := range conversations {
		s, err := t.conversation(c)
		if err != nil {
			return "", nil, fmt.Errorf("conversation %d: %w", i, err)
		}
		turns.Sequences = append(turns.Sequences, s)
	}
	if len(conversations) == 0 {
		return "", nil, errors.New("text: want some, found white space only")
	}
	return name, []quality.Group{plain, turns}, nil
}

// conversation encodes messages of which the last, the assistant's, is looked at.
func (t *Text) conversation(messages []Message) (s quality.Sequence, err error) {
	n := len(messages)
	if n == 0 || messages[n-1].Role != "assistant" && messages[n-1].Role != "model" {
		return s, errors.New("want the assistant's answer at its end")
	}
	prompt, err := t.Render(messages[:n-1], RenderOptions{GenerationPrompt: true})
	if err != nil {
		return s, err
	}
	whole, err := t.Render(messages, RenderOptions{})
	if err != nil {
		return s, err
	}
	if whole.IDs == nil {
		return s, ErrNoTokenizer
	}
	s.Tokens = whole.IDs
	for s.Given < min(len(prompt.IDs), len(whole.IDs)) && prompt.IDs[s.Given] == whole.IDs[s.Given] {
		s.Given++
	}
	return s, nil
}

// sameTokens reports tokenizers that give ids different meanings.
func sameTokens(a, b *Text) error {
	if a.tok == nil || b.tok == nil {
		return ErrNoTokenizer
	}
	if a.tok.Size() != b.tok.Size() {
		return fmt.Errorf("tokenizer: want the same in both models, found %d and %d pieces", a.tok.Size(), b.tok.Size())
	}
	for id := range int32(a.tok.Size()) {
		if va, vb := a.tok.Piece(id), b.tok.Piece(id); va != vb {
			return fmt.Errorf("tokenizer: want the same in both models, found token %d to be %q and %q", id, va, vb)
		}
	}
	return nil
}

// sameShape says whether the matrices of both models stand for each other.
func sameShape(a, b side) bool {
	x, y := *a.Config(), *b.Config()
	return x.HiddenSize == y.HiddenSize && x.IntermediateSize == y.IntermediateSize && x.NumLayers == y.NumLayers && x.NumHeads == y.NumHeads &&
		x.NumKVHeads == y.NumKVHeads && x.HeadDim == y.HeadDim && slices.Equal(x.Global, y.Global)
}
