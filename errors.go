package systemgemma

import (
	"errors"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/engine"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Errors that a caller can act on; test with errors.Is.
var (
	// ErrContextLength: the prompt has more tokens than the context; the error says how many to remove.
	ErrContextLength = engine.ErrContextLength
	// ErrQueueFull: as many requests wait as Options.Queue allows; try again later.
	ErrQueueFull = engine.ErrQueueFull
	// ErrClosed: the model was closed.
	ErrClosed = engine.ErrClosed
	// ErrKVMemory: Options.KVMemory does not leave room for the request.
	ErrKVMemory = gemma2.ErrKVMemory
	// ErrNonFinite: the weights give logits that are no numbers.
	ErrNonFinite = gemma2.ErrNonFinite
	// ErrFault: the model's file was truncated, or its disk failed, while it was in use. Close the model.
	ErrFault = parallel.ErrFault
	// ErrNoTokenizer: the files have no tokenizer, so only ids can go in and out.
	ErrNoTokenizer = errors.New("no tokenizer in these files")
	// ErrNoWeights: the files have a tokenizer or a template only.
	ErrNoWeights = checkpoint.ErrNoWeights
)
