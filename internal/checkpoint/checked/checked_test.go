package checked

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestProduct(t *testing.T) {
	for _, c := range []struct {
		limit   int
		factors []int
		want    int
		ok      bool
	}{
		{10, nil, 1, true},
		{0, nil, 0, false},
		{10, []int{2, 5}, 10, true},
		{10, []int{2, 6}, 0, false},
		{10, []int{0, 6}, 0, true},
		{10, []int{11, 0}, 0, false},
		{10, []int{-1}, 0, false},
		{10, []int{0, -1}, 0, false},
		{math.MaxInt, []int{1 << 33, 1 << 33}, 0, false},
		{math.MaxInt, []int{1 << 62, 4, 8}, 0, false},
		{math.MaxInt, []int{math.MaxInt, 1}, math.MaxInt, true},
	} {
		if got, ok := Product(c.limit, c.factors...); got != c.want || ok != c.ok {
			t.Errorf("Product(%d, %v) = %d, %v, want %d, %v", c.limit, c.factors, got, ok, c.want, c.ok)
		}
	}
}

// Product agrees with integers that cannot overflow.
func TestProductEqualsBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, math.MaxInt).Draw(t, "limit")
		factors := rapid.SliceOfN(rapid.IntRange(1, math.MaxInt), 0, 4).Draw(t, "factors")
		want := big.NewInt(1)
		for _, f := range factors {
			want.Mul(want, big.NewInt(int64(f)))
		}
		got, ok := Product(limit, factors...)
		if fits := want.Cmp(big.NewInt(int64(limit))) <= 0; ok != fits || ok && want.Int64() != int64(got) {
			t.Fatalf("Product(%d, %v) = %d, %v, want %v, %v", limit, factors, got, ok, want, fits)
		}
	})
}
