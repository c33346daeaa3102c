// REDUCE adds the 16 lanes in y0 and y1 by the tree of reduce in reference.go: halves of 8, of 4, of 2, of 1. The sum is the
// first float of x0, the lower half of y0; x1 is the lower half of y1.
#define REDUCE(y0, y1, x0, x1) \
	VADDPS       y1, y0, y0;    \
	VEXTRACTF128 $1, y0, x1;    \
	VADDPS       x1, x0, x0;    \
	VPSHUFD      $0x4e, x0, x1; \
	VADDPS       x1, x0, x0;    \
	VPSHUFD      $0xb1, x0, x1; \
	VADDSS       x1, x0, x0
