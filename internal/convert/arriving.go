package convert

import (
	"context"
	"errors"
	"os"

	"github.com/systemgemma/systemgemma/internal/checkpoint/stream"
)

// streamSuffix is that of the file where a stream writes down how far it came, beside the first output's.
const streamSuffix = ".partial.hashes.journal"

func (j *Job) streamJournal() string { return j.Outputs[0].Path + streamSuffix }

// begin lets the weights come, but for those of pieces that are done in all files and hashed.
func (j *Job) begin(ctx context.Context, files []*partial) error {
	if j.Stream == nil {
		return nil
	}
	spans := make([]stream.Span, len(j.pieces))
	for i, x := range j.pieces {
		start := j.order(x)
		spans[i] = stream.Span{Start: start, End: start + x.in.bytes(x.first, x.rows), Done: j.done(x, files)}
	}
	again, err := j.Stream.Begin(ctx, spans, j.streamJournal())
	for _, i := range again {
		for _, p := range files {
			delete(p.done, j.pieces[i].id())
		}
	}
	return err
}

// done says whether every file that has a place for a piece has the piece.
func (j *Job) done(x *piece, files []*partial) bool {
	for i, o := range j.Outputs {
		if _, ok := files[i].done[x.id()]; !ok && len(o.Format.Places(x.in.Parameter, x.first, x.rows)) > 0 {
			return false
		}
	}
	return true
}

// await returns when a piece is there.
func (j *Job) await(ctx context.Context, x *piece) error {
	if j.Stream == nil {
		return nil
	}
	return j.Stream.Await(ctx, x.in.stored(x.first, x.rows).Data)
}

// verified waits until all that came is known to be right, unless err says that the work failed. What was made of wrong bytes is removed.
func (j *Job) verified(ctx context.Context, files []*partial, err error) error {
	if j.Stream == nil {
		return err
	}
	if err == nil {
		err = j.Stream.Verify(ctx)
	}
	if errors.Is(err, stream.ErrMismatch) {
		for _, p := range files {
			err = errors.Join(err, p.remove())
		}
		err = errors.Join(err, os.Remove(j.streamJournal()))
	}
	return err
}
