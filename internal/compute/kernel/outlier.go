package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// Outlier is one activation that is not rounded to int8 but multiplied as it is, with the dequantised weights of its column
// (LLM.int8, arXiv:2208.07339).
type Outlier struct {
	Column int32
	Value  float32
}

// SplitOutliers moves the elements of x whose magnitude is threshold or more, and those that are no numbers, to list, in
// ascending order, and leaves zeros in their places. It returns how many there are; list has room for len(x).
func SplitOutliers(list []Outlier, x []float32, threshold float32) int {
	list = list[:len(x)]
	n := 0
	for k, v := range x {
		if !(float32(math.Abs(float64(v))) < threshold) {
			list[n] = Outlier{int32(k), v}
			n++
			x[k] = 0
		}
	}
	return n
}

// AddOutliers adds one token's outliers to its products with a W8C strip, shape [k/4][16][4]:
//
//	acc = acc + float32(w[r][column] * value)    for each outlier in turn, from 0
//	out[r] = out[r] + float32(acc * wScale[r])   r = 0..15
func AddOutliers(out []float32, w []byte, wScale []float32, list []Outlier) {
	if len(list) == 0 {
		return
	}
	if len(out) < 16 || len(wScale) < 16 || len(w)%64 != 0 {
		panic(fmt.Sprintf("kernel.AddOutliers: len(out)=%d, len(wScale)=%d, len(w)=%d", len(out), len(wScale), len(w)))
	}
	for _, o := range list {
		if uint(o.Column) >= uint(len(w)/16) {
			panic(fmt.Sprintf("kernel.AddOutliers: column %d of %d", o.Column, len(w)/16))
		}
	}
	active.addOutliers(&out[0], &w[0], &wScale[0], &list[0], len(list))
}

func addOutliersRef(out *float32, w *byte, wScale *float32, list *Outlier, n int) {
	var acc [16]float32
	for _, o := range unsafe.Slice(list, n) {
		tile := unsafe.Slice((*[4]int8)(unsafe.Add(unsafe.Pointer(w), o.Column/4*64)), 16)
		for r := range acc {
			acc[r] += float32(float32(tile[r][o.Column%4]) * o.Value)
		}
	}
	o, scale := unsafe.Slice(out, 16), unsafe.Slice(wScale, 16)
	for r, v := range acc {
		o[r] += float32(v * scale[r])
	}
}
