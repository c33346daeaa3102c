package sampler

import (
	"math"
	"sync"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// LogSumExp is the log of the sum of e^x over all logits, which must be finite: the log-probability of token i is
// float64(logits[i]) - LogSumExp(logits). Its error is below 1e-8: see logSumExp.
func LogSumExp(logits []float32) float64 {
	whole := len(logits) &^ 15
	top := kernel.Max(logits[:whole])
	for _, x := range logits[whole:] {
		top = max(top, x)
	}
	return logSumExp(logits, top)
}

const (
	// sumBlock is how many logits are added together.
	sumBlock = 128
	// farBelow is how far below the best one all logits of a block are that float32 is good enough for: 256,000 of them weigh at most 0.03
	// of the best.
	farBelow = 16
)

// sumRooms are scratch for blocks: an array of a function would be allocated at each call.
var sumRooms = sync.Pool{New: func() any { return new([sumBlock]float32) }}

// logSumExp is LogSumExp when the largest logit is known. Sums of blocks are added in ascending order, in float64. In a block with a
// logit near the best one, exponentials are float64 and added so, too (kernel.ExpSum64); in the others both are float32
// (kernel.ExpSum), with an error of some 1e-7 of their little share. Every CPU gives the same bits.
func logSumExp(logits []float32, top float32) float64 {
	room := sumRooms.Get().(*[sumBlock]float32)
	defer sumRooms.Put(room)
	sum := 0.0
	for len(logits) > 0 {
		n := copy(room[:], logits)
		logits = logits[n:]
		for ; n%16 != 0; n++ {
			room[n] = float32(math.Inf(-1))
		}
		if block := room[:n]; kernel.Max(block) < top-farBelow {
			sum += float64(kernel.ExpSum(block, top))
		} else {
			sum += kernel.ExpSum64(block, top)
		}
	}
	return float64(top) + portable.Log(sum)
}
