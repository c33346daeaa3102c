package sampler

import (
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// LogSumExp is the log of the sum of e^x over all logits, which must be finite: the log-probability of token i is
// float64(logits[i]) - LogSumExp(logits). It adds in ascending order, in float64.
func LogSumExp(logits []float32) float64 {
	top := float32(math.Inf(-1))
	for _, x := range logits {
		top = max(top, x)
	}
	return logSumExp(logits, top)
}

// logSumExp is LogSumExp when the largest logit is known.
func logSumExp(logits []float32, top float32) float64 {
	sum := 0.0
	for _, x := range logits {
		sum += weight(x, top)
	}
	return float64(top) + portable.Log(sum)
}
