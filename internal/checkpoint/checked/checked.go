// Package checked owns the one rule by which file readers multiply sizes that a file declares.
//
// It must not know what the sizes mean.
package checked

// Product multiplies factors that a file declares. ok is false when one is negative or when the product of those read so
// far exceeds limit, also if a later factor is 0: nothing wraps around, and no huge size hides behind an empty dimension.
func Product(limit int, factors ...int) (product int, ok bool) {
	product = 1
	if limit < product {
		return 0, false
	}
	for _, f := range factors {
		if f < 0 || f > 0 && product > limit/f {
			return 0, false
		}
		product *= f
	}
	return product, true
}
