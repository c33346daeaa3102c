package systemgemma

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/stream"
)

// Errors of ConvertStream that a caller can act on; test with errors.Is.
var (
	// ErrWrongBytes: the bytes that came are not those that StreamFile.Sum promised. What was made of them is deleted.
	ErrWrongBytes = stream.ErrMismatch
	// ErrNotInOrder: this model can't be converted while it comes. It has to be there first.
	ErrNotInOrder = checkpoint.ErrNotInOrder
)

// StreamSource is a Hugging Face model whose weights are elsewhere, and come in the order in which their files hold them.
type StreamSource struct {
	Folder string       // holds everything but the weights: config.json, tokenizer, index
	Files  []StreamFile // all safetensors files of the model, in the order in which they are to come
	// Open gives the bytes of a file from an offset on. It takes up broken connections by itself.
	Open func(ctx context.Context, name string, offset int64) (io.ReadCloser, error)
}

// StreamFile is a file of weights.
type StreamFile struct {
	Name string
	Size int64
	Sum  []byte           // that Hash gives of the whole file
	Hash func() hash.Hash // new; of package crypto/sha256 or another that tells its state (encoding.BinaryMarshaler)
}

// ConvertStream is Convert of a model that is converted while it comes, and never lies on the disk as a whole: some 256 MiB of it are
// in memory at a time. The file appears under its name when every file of the source had the right hash; the same source and options
// give the bytes that Convert gives. Work that was interrupted goes on where a hash was last written down: at most some 64 MiB come
// again. What has to look at the source as a whole is refused by name: NoReport must be set.
func ConvertStream(ctx context.Context, s StreamSource, o *ConvertOptions) (result ConvertResult, err error) {
	switch {
	case o == nil || !o.NoReport:
		return result, errors.New("converting a stream: want no report (NoReport), which reads the source again")
	case o.Optimise, o.Hybrid > 0, len(o.Adapters) > 0:
		return result, errors.New("converting a stream: found Optimise, Hybrid or Adapters, which need the source as a whole")
	case o.To != "" && o.To != FormatOwn:
		return result, fmt.Errorf("converting a stream: want the format %s, found %s", FormatOwn, o.To)
	case o.Output == "" || len(o.Types) > 1:
		return result, errors.New("converting a stream: want an output, and one type")
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("convert %s while it comes: %w", o.Output, err)
		}
	}()
	var files []stream.File
	for _, f := range s.Files {
		files = append(files, stream.File(f))
	}
	weights, err := stream.Open(ctx, files, s.Open)
	if err != nil {
		return result, err
	}
	defer weights.Close() // the first error is the one to report
	ck, err := checkpoint.OpenArriving(s.Folder, weights, o.IgnoreUnknown)
	if err != nil {
		return result, err
	}
	c, err := prepareConversion(ctx, s.Folder, ck, o, false)
	if err != nil {
		return result, err
	}
	defer c.close()
	c.job.Stream = weights
	begin := time.Now()
	err = c.run(ctx)
	c.result.Elapsed = time.Since(begin)
	return c.result, err
}
