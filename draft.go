package systemgemma

import (
	"errors"
	"fmt"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/engine"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

// draft is a smaller model that guesses tokens for another one.
type draft struct {
	checkpoint *checkpoint.Checkpoint
	weights    *load.Loaded
	model      *gemma2.Model
	pool       *gemma2.Pool
}

// openDraft opens the draft model of that name for m, whose workers it computes on.
func (m *Model) openDraft(name string) error {
	ck, err := openCheckpoint(name, checkpoint.Open)
	if err != nil {
		return fmt.Errorf("draft model: %w", err)
	}
	d := &draft{checkpoint: ck}
	m.draft = d
	own := m.Text.checkpoint
	switch {
	case !ck.HasConfig:
		err = ErrNoWeights
	case ck.Config.VocabSize != own.Config.VocabSize:
		err = fmt.Errorf("want the same vocabulary of %d tokens, found %d", own.Config.VocabSize, ck.Config.VocabSize)
	case ck.Vocab != nil && m.tok != nil && !m.tok.Spells(ck.Vocab.Pieces):
		err = errors.New("want the same vocabulary, found one with other pieces")
	}
	if err == nil {
		d.weights, err = load.Weights(ck, m.crew)
	}
	if err == nil {
		d.model, err = gemma2.New(d.weights.Weights, m.crew, gemma2.Options{})
	}
	if err != nil {
		return fmt.Errorf("draft model %s: %w", displayName(name), err)
	}
	kv := gemma2.KVF32
	if quantised(ck) {
		kv = gemma2.KVF16
	}
	d.pool = gemma2.NewPool(&d.weights.Config, kv, 0)
	return nil
}

// drafter returns what guesses tokens of one request; nil: nothing does.
func (m *Model) drafter(o *GenerateOptions) engine.Drafter {
	switch {
	case o.Lookup || o.Prediction != "":
		return engine.NewLookup(m.predictionIDs(o.Prediction))
	case m.draft != nil:
		return engine.NewDraftModel(m.draft.model, m.draft.pool)
	}
	return nil
}

func (d *draft) close() error {
	if d.pool != nil {
		d.pool.Close()
	}
	if d.model != nil {
		_ = d.model.Close() // our own memory: cannot fail
	}
	if d.weights != nil {
		d.weights.Close()
	}
	return d.checkpoint.Close()
}
