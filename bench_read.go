package systemgemma

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma/internal/compute/roofline"
)

// readEvery is how long a decode goes on before the weights are read again.
const readEvery = 250 * time.Millisecond

// weightReader reads the weights that a token is multiplied with, and nothing else.
type weightReader struct {
	parts [][]byte
	bytes int
	times int // readings that take long enough to be told apart
}

// readWeights makes the reader, and measures how fast it is in GB/s.
func (b *bench) readWeights() (Spread, error) {
	const part = 512 << 10
	b.reader = weightReader{}
	for _, x := range b.m.matrices() {
		for _, data := range [][]byte{x.Data, x.Scales, x.Mins} {
			for p := range slices.Chunk(data, part) {
				p = p[:len(p)/512*512] // what roofline.Read takes
				b.reader.parts, b.reader.bytes = append(b.reader.parts, p), b.reader.bytes+len(p)
			}
		}
	}
	return repeatedly(b.ctx, func(times int) (float64, error) {
		b.reader.times = times
		return b.read()
	})
}

// read reads all weights that many times and returns the number of bytes.
func (b *bench) read() (float64, error) {
	parts, times := b.reader.parts, b.reader.times
	err := b.crew.Run(times*len(parts), 4, func(_, lo, hi int) {
		for i := lo; i < hi && b.ctx.Err() == nil; i++ { // a model that memory does not hold takes minutes
			roofline.Read(parts[i%len(parts)])
		}
	})
	return float64(times) * float64(b.reader.bytes), cmp.Or(err, context.Cause(b.ctx))
}

// readingTime is how long reading a byte of the weights takes now, in seconds.
func (b *bench) readingTime() (float64, error) {
	start := time.Now()
	n, err := b.read()
	return time.Since(start).Seconds() / n, err
}

// decodeBeside is decode with readings of the weights in between: other programs, and other guests of a host, may leave twice as much of
// the memory's bandwidth a second later. It adds to b.beside the tokens that each part generates in the time in which a byte would
// be read, by the mean of the readings before and after it. took is the time of decoding alone.
func (b *bench) decodeBeside(n int) (took time.Duration, err error) {
	before, err := b.readingTime()
	if err != nil {
		return 0, err
	}
	for n > 0 {
		start, left := time.Now(), n
		for n > 0 && time.Since(start) < readEvery {
			if err := b.decode(1); err != nil {
				return took, err
			}
			n--
		}
		part := time.Since(start)
		after, err := b.readingTime()
		if err != nil {
			return took, err
		}
		b.beside = append(b.beside, float64(left-n)/part.Seconds()*(before+after)/2)
		before, took = after, took+part
	}
	return took, nil
}
