package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

// boundStripRef and boundPanelRef define the bounds.
func boundStripRef(blocks []StripBlock, w []byte) (spread, square int) {
	for i := range blocks {
		least, most, half := 0, 0, 0
		for r := range 16 {
			for pair := range 2 {
				sum := 0
				for tile := range 4 {
					q := w[256*i+64*tile+4*r+2*pair:]
					x, y := int(int8(q[0])), int(int8(q[1]))
					least, most = min(least, x, y), max(most, x, y)
					sum += (x*x + y*y + 1) / 2
				}
				half = max(half, sum)
			}
		}
		b := StripBlock{offset: uint8(-least), minus: int16(least), spread: uint16(most - least), square: uint16(half)}
		if least == -128 { // not used
			b.spread = math.MaxUint16
		}
		blocks[i] = b
		spread += int(b.spread)
		square += int(b.square)
	}
	return spread, square
}

func boundPanelRef(blocks []PanelBlock, panel []uint8) (pair, square int) {
	for i := range blocks {
		for four := range 4 {
			b := &blocks[i][four]
			*b = PanelBlock{}[0]
			for t := range 4 {
				for p := range 2 {
					half := 0
					for tile := range 4 {
						q := panel[256*i+64*tile+16*four+4*t+2*p:]
						x, y := int(int8(q[0])), int(int8(q[1]))
						b.sums[t][p] += int16(x + y)
						b.pair = max(b.pair, uint16(max(x, 0)+max(y, 0)), uint16(-min(x, 0)-min(y, 0)))
						half += (x*x + y*y + 1) / 2
					}
					b.square = max(b.square, uint16(half))
				}
			}
			pair += int(b.pair)
			square += int(b.square)
		}
	}
	return pair, square
}

// boundedCase are weights and activations of 16 k times n: bell-shaped, uniform, or the largest of one sign; in some blocks of the
// first kind a few are as large as they can be, so that blocks within all limits lie beside others, and right at the limits.
type boundedCase struct {
	w []byte  // of a strip
	a []uint8 // of a panel
}

func newBoundedCase(r *rand.Rand, n int) boundedCase {
	c := boundedCase{make([]byte, 256*n), make([]uint8, 256*n)}
	for _, b := range [][]byte{c.w, c.a} {
		kind, sigma := r.IntN(8), 10+40*r.Float64()
		for i := range b {
			q := 0
			switch kind {
			case 0:
				q = r.IntN(255) - 127
			case 1:
				q = 127
			case 2:
				q = []int{-127, 127}[r.IntN(2)]
			default:
				q = int(max(-127, min(127, math.Round(sigma*r.NormFloat64()))))
				if i/256%3 == 1 && r.IntN(64) == 0 {
					q = []int{-127, 127}[r.IntN(2)]
				}
			}
			b[i] = byte(int8(q))
		}
	}
	if r.IntN(4) == 0 {
		c.w[r.IntN(len(c.w))] = 0x80 // -128
	}
	return c
}

func eachBounded(t *testing.T, check func(t *rapid.T, set *table)) {
	for _, set := range available() {
		if set.bounded != nil {
			t.Run(set.name, rapid.MakeCheck(func(t *rapid.T) { check(t, set) }))
		}
	}
}

func TestBoundsEqualReference(t *testing.T) {
	eachBounded(t, func(t *rapid.T, set *table) {
		n := rapid.IntRange(1, 6).Draw(t, "blocks")
		c := newBoundedCase(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), n)
		strip, want := make([]StripBlock, n), make([]StripBlock, n)
		spread, square := set.bounded.strip(&strip[0], &guard.Copy(t, c.w)[0], n)
		wantSpread, wantSquare := boundStripRef(want, c.w)
		for i := range want { // the square of a block with -128 is anything: its spread keeps it from being used
			if want[i].offset == 128 {
				wantSquare += int(strip[i].square) - int(want[i].square)
				want[i].square = strip[i].square
			}
		}
		if !slices.Equal(strip, want) || spread != wantSpread || square != wantSquare {
			t.Fatalf("strip: %v, %d, %d, want %v, %d, %d", strip, spread, square, want, wantSpread, wantSquare)
		}
		panel, wantPanel := make([]PanelBlock, n), make([]PanelBlock, n)
		pair, square := set.bounded.panel(&panel[0], &guard.Copy(t, c.a)[0], n)
		wantPair, wantSquare := boundPanelRef(wantPanel, c.a)
		if !slices.Equal(panel, wantPanel) || pair != wantPair || square != wantSquare {
			t.Fatalf("panel: %v, %d, %d, want %v, %d, %d", panel, pair, square, wantPanel, wantPair, wantSquare)
		}
	})
}

// Whatever the numbers are, also where the means do not suit, the product is the exact one.
func TestMulBoundedEqualsReference(t *testing.T) {
	eachBounded(t, func(t *rapid.T, set *table) {
		n := rapid.IntRange(1, 40).Draw(t, "blocks")
		tokens := rapid.IntRange(1, MaxPanel).Draw(t, "tokens")
		stride := 16 * rapid.IntRange(1, 3).Draw(t, "stride/16")
		c := newBoundedCase(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), n)
		ws, as := floats(t, 16, "weight scales"), floats(t, tokens, "activation scales")
		got, want := make([]float32, (tokens-1)*stride+16), make([]float32, (tokens-1)*stride+16)
		strip, panel := make([]StripBlock, n), make([]PanelBlock, n)
		set.bounded.strip(&strip[0], &c.w[0], n)
		set.bounded.panel(&panel[0], &c.a[0], n)
		set.bounded.mul(&got[0], stride, &guard.Copy(t, c.w)[0], &ws[0], &guard.Copy(t, strip)[0], &guard.Copy(t, c.a)[0], &guard.Copy(t, panel)[0], n, &as[0], tokens, &c.w[0], 1+n%4)
		mulW8CRef(&want[0], stride, &c.w[0], &ws[0], nil, &c.a[0], MaxPanel, 4*n, &as[0], tokens)
		diff(t, "product", got, want)
	})
}

// Blocks right at a limit and right beyond it, in each lane and token.
func TestMulBoundedAtItsLimits(t *testing.T) {
	type numbers struct{ w, a [8]int8 } // of the same eight k: two in each of the four tiles
	pair := func(w0, w1, a0, a1 int8) numbers { return numbers{[8]int8{w0, w1}, [8]int8{a0, a1}} }
	all := func(w, a int8) (n numbers) {
		for i := range n.w {
			n.w[i], n.a[i] = w, a
		}
		return n
	}
	cases := map[string]numbers{
		"pair 254*129":  pair(127, 127, 65, 64), // offset 127 is from another row
		"pair 254*130":  pair(127, 127, 65, 65),
		"pair -254*129": pair(127, 127, -64, -65),
		"pair 254*254":  pair(127, 127, 127, 127),
		"eight 64*64":   all(64, 63), // 8*64*63 = 32256
		"eight 64*65":   all(64, 64), // 32768
		"eight -64*64":  all(-64, 64),
		"eight 127*127": all(127, -127),
		"eight 127*32":  all(127, 32), // 32512
		"eight 127*33":  all(-127, 33),
		"eight 128":     all(-128, 31),
	}
	for _, set := range available() {
		if set.bounded == nil {
			continue
		}
		for name, c := range cases {
			for _, least := range []int8{0, -1, -127} { // of another row
				for lane := range 2 {
					for row := range 16 {
						w, a := make([]byte, 256), make([]uint8, 256)
						for i := range 8 {
							at := 64*(i/2) + 2*lane + i%2
							w[at+4*row] = byte(c.w[i])
							for token := range 16 {
								a[at+4*token] = uint8(c.a[i])
							}
						}
						w[64*3+4*(15-row)+2-2*lane] = byte(least)
						one := slices.Repeat([]float32{1}, 16)
						var strip StripBlock
						var panel PanelBlock
						var got, want [256]float32
						set.bounded.strip(&strip, &w[0], 1)
						set.bounded.panel(&panel, &a[0], 1)
						set.bounded.mul(&got[0], 16, &w[0], &one[0], &strip, &a[0], &panel, 1, &one[0], 16, &w[0], 1)
						mulW8CRef(&want[0], 16, &w[0], &one[0], nil, &a[0], 16, 4, &one[0], 16)
						if got != want {
							t.Fatalf("%s: %s, least %d, lane %d, row %d: %v, want %v", set.name, name, least, lane, row, got, want)
						}
					}
				}
			}
		}
	}
}

// Bounds suit numbers of a trained model's shape, and not uniform ones.
func TestSuit(t *testing.T) {
	defer func(was *table) { active = was }(active)
	for _, set := range available() {
		active = set
		if got, want := UsesBounds(MaxPanel), set.bounded != nil; got != want || UsesBounds(MaxPanel-1) {
			t.Errorf("%s: bounds for 16 tokens %v, want %v; for 15 %v, want none", set.name, got, want, UsesBounds(MaxPanel-1))
		}
		if set.bounded != nil {
			testSuit(t)
		}
	}
}

func testSuit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		weights, activations float64 // standard deviations; 0: uniform
		want                 bool
	}{{36, 36, true}, {20, 15, true}, {36, 0, false}, {0, 36, false}, {0, 0, false}} {
		draw := func(sigma float64) []byte {
			b := make([]byte, 256*100)
			for i := range b {
				q := float64(r.IntN(255) - 127)
				if sigma > 0 {
					q = max(-127, min(127, sigma*r.NormFloat64()))
				}
				b[i] = byte(int8(q))
			}
			return b
		}
		strip, panel := StripBounds{Blocks: make([]StripBlock, 100)}, PanelBounds{Blocks: make([]PanelBlock, 100)}
		strip.Set(draw(c.weights))
		panel.Set(draw(c.activations))
		if got := strip.Suit(&panel); got != c.want {
			t.Errorf("weights %v, activations %v: suit %v, want %v", c.weights, c.activations, got, c.want)
		}
	}
}

// What is fetched ahead is whole lines a block.
func TestAheadIsChecked(t *testing.T) {
	defer func(was *table) { active = was }(active)
	for _, set := range available() {
		if set.bounded == nil {
			continue
		}
		active = set
		strip, panel := StripBounds{Blocks: make([]StripBlock, 2)}, PanelBounds{Blocks: make([]PanelBlock, 2)}
		w := make([]byte, 2*256)
		strip.Set(w)
		panel.Set(w)
		for length, wrong := range map[int]bool{0: false, 64: true, 127: true, 128: false, 512: false} {
			func() {
				defer func() {
					if got := recover() != nil; got != wrong {
						t.Errorf("%s: %d bytes ahead: panic %v, want %v", set.name, length, got, wrong)
					}
				}()
				MulW8CBounded(make([]float32, 256), 16, w, make([]float32, 16), &strip, w, &panel, make([]float32, 16), w[:length])
			}()
		}
	}
}
