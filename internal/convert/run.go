package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/stream"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

var (
	// ErrExists says that a file of the output's name is there and may not be replaced.
	ErrExists = errors.New("exists already")
	// ErrSpace says that the disk lacks room for the result.
	ErrSpace = errors.New("not enough room on the disk")
)

// Output is a file to make.
type Output struct {
	Path      string
	Format    Format
	Overwrite bool // an existing file is replaced
}

// Progress tells how far a conversion is, in bytes of the source.
type Progress struct {
	Done, Total int64
	Resumed     int64 // of Done: what an earlier attempt did
}

// Job is one pass over a source, which makes one file or several.
type Job struct {
	Source         *checkpoint.Checkpoint
	Outputs        []Output
	Change         Change         // nil: none
	ChangeID       string         // all that Change depends on
	AllowNonFinite bool           // weights that are no finite number reach the formats
	Memory         int64          // bounds the bytes of all pieces in work; 0: DefaultMemory
	Progress       func(Progress) // nil: nobody asks
	Notice         func(string)   // what a person should know, such as that earlier work does not count; nil: nobody asks
	// Stream is where Source's weights come from while they are converted, in its order; nil: they are there. Its state is written down
	// beside the first output.
	Stream *stream.Stream
	// Report looks at the whole file of an output, which lies at path before it gets its name, and says what to store in it, whose
	// Format is then Reported; "" stores nothing. nil: nobody looks.
	Report func(ctx context.Context, output int, path string) (string, error)

	in       []*Input
	pieces   []*piece
	progress Progress
}

// DefaultMemory bounds the pieces in work: the loops do not become faster with more.
const DefaultMemory = 64 << 20

// pieceBytes is the most that a piece has as float32. Smaller pieces make longer journals.
const pieceBytes = 8 << 20

// piece is some rows of a tensor: what is read, written and remembered at a time.
type piece struct {
	in          *Input
	first, rows int
}

func (x *piece) id() pieceID { return pieceID{x.in.Name, x.first} }

// prepare lists the inputs, and cuts them into pieces of whole strips.
func (j *Job) prepare() (err error) {
	if err := j.Source.Runnable(); err != nil {
		return err
	}
	c := &j.Source.Config
	apart := slices.ContainsFunc(j.Outputs, func(o Output) bool {
		return len(o.Format.Places(Parameter{head, c.VocabSize, c.HiddenSize}, 0, c.VocabSize)) > 0
	})
	if j.in, err = inputs(j.Source, j.Change, apart); err != nil {
		return err
	}
	// Two pieces are in work at a time: one is made, one is written. A row may take as much in each output as in float32.
	limit := j.Memory
	if limit == 0 {
		limit = DefaultMemory
	}
	limit = min(limit/int64(2*len(j.Outputs)), pieceBytes)
	j.pieces, j.progress = nil, Progress{}
	for _, in := range j.in {
		strip := int64(quant.StripRows) * 4 * int64(in.width())
		if in.Cols == 0 {
			j.pieces = append(j.pieces, &piece{in, 0, 1})
			j.progress.Total += in.bytes(0, 1)
			continue
		}
		j.progress.Total += in.bytes(0, in.Rows)
		if limit < strip {
			return fmt.Errorf("tensor %s: pieces want at least %d bytes of memory, found a limit of %d", in.Name, 2*int64(len(j.Outputs))*strip, j.Memory)
		}
		step := int(limit/strip) * quant.StripRows
		for first := 0; first < in.rows(); first += step {
			j.pieces = append(j.pieces, &piece{in, first, min(step, in.rows()-first)})
		}
	}
	if j.Stream != nil {
		slices.SortStableFunc(j.pieces, func(a, b *piece) int { return cmp.Compare(j.order(a), j.order(b)) })
	}
	return nil
}

// order is where a piece comes in the stream.
func (j *Job) order(x *piece) int64 { return j.Stream.Order(x.in.stored(x.first, x.rows).Data) }

// Run makes the files, each in full or not at all. What is done when it fails, or ctx ends, is kept for the next attempt.
func (j *Job) Run(ctx context.Context, crew *parallel.Crew) error {
	if err := j.prepare(); err != nil {
		return err
	}
	if err := j.refuse(); err != nil {
		return err
	}
	id := j.identity()
	files := make([]*partial, 0, len(j.Outputs))
	defer func() {
		for _, p := range files {
			_ = p.close() // after finish there is nothing left to close; before, an error is reported already
		}
	}()
	for _, o := range j.Outputs {
		p, err := openPartial(o.Path, o.Format.Size(), newIdentity(id[:], o.Format.Identity()))
		if err != nil {
			return err
		}
		files = append(files, p)
		if p.notice != "" && j.Notice != nil {
			j.Notice(p.notice)
		}
		if err := p.check(ctx, o.Format, j.pieces, crew); err != nil {
			return err
		}
	}
	err := j.begin(ctx, files)
	if err == nil {
		err = j.convert(ctx, files, crew)
	}
	err = j.verified(ctx, files, err)
	for i, p := range files { // all are whole before one gets its name
		if err == nil {
			err = j.Outputs[i].Format.Seal(ctx, p.f, crew)
		}
		if err == nil && j.Report != nil {
			err = j.report(ctx, i, p)
		}
		if err == nil {
			err = p.f.Sync()
		}
	}
	for i, p := range files {
		if err == nil {
			err = p.finish(j.Outputs[i].Overwrite)
		}
	}
	if err == nil && j.Stream != nil {
		err = os.Remove(j.streamJournal())
	}
	return err
}

func (j *Job) report(ctx context.Context, i int, p *partial) error {
	text, err := j.Report(ctx, i, p.f.Name())
	if err != nil || text == "" {
		return err
	}
	f, ok := j.Outputs[i].Format.(Reported)
	if !ok {
		return fmt.Errorf("%s: this format has no room for a report", j.Outputs[i].Path)
	}
	return f.SetReport(p.f, text)
}

// refuse reports outputs that can't be, before anything is made.
func (j *Job) refuse() error {
	need := map[string]int64{} // by folder
	for i, o := range j.Outputs {
		dir := filepath.Dir(o.Path)
		info, err := os.Stat(o.Path)
		switch {
		case err == nil && info.IsDir():
			return fmt.Errorf("%s: want the name of a file, found a folder", o.Path)
		case err == nil && j.Source.Maps(info):
			return fmt.Errorf("%s: is the source itself; choose another name", o.Path)
		case err == nil && !o.Overwrite:
			return fmt.Errorf("%s: %w; choose another name, or say that it may be replaced", o.Path, ErrExists)
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return err
		}
		if slices.ContainsFunc(j.Outputs[:i], func(other Output) bool { return filepath.Clean(other.Path) == filepath.Clean(o.Path) }) {
			return fmt.Errorf("%s: want each output once, found it twice", o.Path)
		}
		n, _, _ := o.Need()
		need[dir] += n
	}
	for dir, n := range need {
		if free, ok := freeBytes(dir); ok && free < n {
			return fmt.Errorf("%s: %w: want %.1f MB, found %.1f MB free", dir, ErrSpace, float64(n)/1e6, float64(free)/1e6)
		}
	}
	return nil
}

// identity is what all outputs depend on. A source that was touched counts as another one.
func (j *Job) identity() identity {
	step := 0 // rows of the largest pieces: a journal names pieces by their first
	for _, x := range j.pieces {
		step = max(step, x.rows)
	}
	return newIdentity(fmt.Appendf(nil, "%v %v", j.AllowNonFinite, step), j.Source.Identity(), []byte(j.ChangeID))
}

// SourceBytes is what the job reads, scales of our own files apart; 0 if it can't begin.
func (j *Job) SourceBytes() int64 {
	if err := j.prepare(); err != nil {
		return 0
	}
	return j.progress.Total
}

// work is a piece with room for it in each output that lacks it.
type work struct {
	*piece
	out []Piece // nil: that output has it
}

func (w *work) free() (err error) {
	for _, p := range w.out {
		if p != nil {
			err = errors.Join(err, p.Free())
		}
	}
	return err
}

// convert makes the pieces in their order on all workers, while the piece before is written.
func (j *Job) convert(ctx context.Context, files []*partial, crew *parallel.Crew) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	made, written := make(chan *work), make(chan error, 1)
	go func() {
		var first error
		for w := range made {
			if first == nil {
				if first = j.write(w, files); first != nil {
					cancel(first)
				}
			}
			if err := w.free(); first == nil {
				first = err
			}
		}
		written <- first
	}()
	err := j.produce(ctx, files, crew, made)
	close(made)
	if failed := <-written; failed != nil {
		return failed
	}
	return err
}

func (j *Job) produce(ctx context.Context, files []*partial, crew *parallel.Crew, made chan<- *work) error {
	buffers := newRows(j.in, crew)
	for i, x := range j.pieces {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if j.Stream != nil {
			j.Stream.Passed(j.order(x))
		}
		w, todo, err := j.room(x, files)
		if err != nil {
			return errors.Join(err, w.free())
		}
		if todo {
			if i+1 < len(j.pieces) {
				next := j.pieces[i+1]
				j.Source.Expect(next.in.stored(next.first, next.rows))
			}
			if err := j.await(ctx, x); err != nil {
				return errors.Join(err, w.free())
			}
			if err := j.pack(w, buffers, crew); err != nil {
				return errors.Join(err, w.free())
			}
			j.Source.Release(x.in.stored(0, x.first+x.rows)) // from the start: a piece brings pages before it back
		}
		made <- w
	}
	return nil
}

// room makes room for a piece in each output that has its tensor and not yet the piece. todo says that there is one.
func (j *Job) room(x *piece, files []*partial) (w *work, todo bool, err error) {
	w = &work{piece: x, out: make([]Piece, len(j.Outputs))}
	for i, o := range j.Outputs {
		if files != nil {
			if _, done := files[i].done[x.id()]; done {
				continue
			}
		}
		if len(o.Format.Places(x.in.Parameter, x.first, x.rows)) == 0 {
			continue
		}
		if w.out[i], err = o.Format.Piece(x.in.Parameter, x.first, x.rows); err != nil {
			w.out[i] = nil // an interface that holds nothing
			return w, false, err
		}
		todo = true
	}
	return w, todo, nil
}

// newRows makes a row of floats for each worker.
func newRows(in []*Input, crew *parallel.Crew) [][]float32 {
	width := 0
	for _, i := range in {
		width = max(width, i.width())
	}
	rows := make([][]float32, crew.Workers())
	for i := range rows {
		rows[i] = make([]float32, width)
	}
	return rows
}

// pack reads the rows of a piece and rounds them for each output. Of several faults the one in the first row counts.
func (j *Job) pack(w *work, buffers [][]float32, crew *parallel.Crew) error {
	var failed firstError
	return failed.join(crew.Run(w.rows, quant.StripRows, func(worker, lo, hi int) {
		if r, err := j.packStrip(w, lo, hi, buffers[worker][:w.in.width()]); err != nil {
			failed.set(r, err)
		}
	}))
}

// packStrip rounds rows [lo, hi), a strip, and says which row an error is about. What an output keeps as the source stores it is read
// all the same, to be checked.
func (j *Job) packStrip(w *work, lo, hi int, row []float32) (r int, err error) {
	var room [8]Piece
	rounded := room[:0]
	for _, p := range w.out {
		s, ok := p.(Stored)
		if p != nil && (!ok || !s.PackStored(lo/quant.StripRows, w.in, (w.first+lo)/quant.StripRows)) {
			rounded = append(rounded, p)
		}
	}
	for r = lo; r < hi; r++ {
		err = w.in.read(row, w.first+r)
		if err == nil && !j.AllowNonFinite {
			err = w.in.check(row, w.first+r)
		}
		for _, p := range rounded {
			if err == nil {
				err = p.Pack(r, row)
			}
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// write stores a piece in the files that lack it and tells the progress.
func (j *Job) write(w *work, files []*partial) error {
	todo := false
	for i, p := range w.out {
		if p == nil {
			continue
		}
		todo = true
		if err := files[i].write(w.piece, j.Outputs[i].Format.Places(w.in.Parameter, w.first, w.rows), p.Bytes()); err != nil {
			return err
		}
	}
	j.tell(w.piece, todo)
	return nil
}

// tell counts a piece.
func (j *Job) tell(x *piece, now bool) {
	n := x.in.bytes(x.first, x.rows)
	j.progress.Done += n
	if !now {
		j.progress.Resumed += n
	}
	if j.Progress != nil {
		j.Progress(j.progress)
	}
}

// firstError keeps the error of the lowest number, so that the same fault is named whatever the number of workers.
type firstError struct {
	mu  sync.Mutex
	at  int   // guarded by mu
	err error // guarded by mu
}

func (f *firstError) set(at int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && (f.err == nil || at < f.at) {
		f.at, f.err = at, err
	}
}

func (f *firstError) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err != nil
}

// join is the error of the loop itself, if it has one, else the first one kept.
func (f *firstError) join(loop error) error {
	if loop != nil {
		return loop
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
