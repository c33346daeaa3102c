package convert

import (
	"context"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
)

// Format is a file that a conversion makes. Everything has its place in it before work begins, so that pieces can be written in
// several attempts.
type Format interface {
	// Size is the number of bytes of the file.
	Size() int64
	// Identity is all that the file's bytes depend on besides the source's weights.
	Identity() []byte
	// Places lists where the bytes of rows [first, first+rows) of tensor p go: nowhere if the file has no such tensor, as the head
	// of tied weights, which is offered when some output of a job stores it apart.
	Places(p Parameter, first, rows int) []checkpoint.Extent
	// Piece makes room for those rows.
	Piece(p Parameter, first, rows int) (Piece, error)
	// Seal ends the file when all pieces are in it: checksums, headers.
	Seal(ctx context.Context, f checkpoint.File, crew *parallel.Crew) error
}

// Reported is a Format whose files have room for a report.
type Reported interface {
	Format
	// SetReport stores a report in a sealed file.
	SetReport(f checkpoint.File, report string) error
}

// Piece is some rows of a tensor on their way into a file.
type Piece interface {
	// Pack takes row r of the piece: of a matrix its weights, of a norm all values as the source stores them (Checkpoint.NormPlusOne).
	// It is called for each row once, by several goroutines at a time, and keeps nothing of w.
	Pack(r int, w []float32) error
	// Bytes lists what Format.Places has places for, in that order, when all rows are packed.
	Bytes() [][]byte
	Free() error
}

// Stored is a Piece that can take strips of 16 rows as the source stores them, without rounding anything again.
type Stored interface {
	Piece
	// PackStored takes strip s of the piece, which is strip from of the input, and says whether it could.
	PackStored(s int, in *Input, from int) bool
}

// Change edits weights between reading and rounding, as an adapter does.
type Change interface {
	// Touches says whether rows of the tensor of that GGUF name may change.
	Touches(name string) bool
	// Row edits a row in place. A norm is row 0, as the source stores it (Checkpoint.NormPlusOne). It is called once for each row
	// that is converted, by several goroutines at a time.
	Row(name string, r int, row []float32) error
	// Unties says that the head of a tied model must be stored apart: output.weight is then made of the embedding's rows.
	Unties() bool
}
