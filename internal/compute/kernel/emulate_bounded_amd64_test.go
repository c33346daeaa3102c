//go:build amd64 && !noasm

package kernel

import (
	"fmt"
	"slices"

	"github.com/systemgemma/systemgemma/internal/testkit/emulate"
)

func (e emulation) bounded() {
	b := e.set.bounded
	if b == nil {
		return
	}
	for n := range 24 {
		n, tokens, stride := n%6+1, n*5%MaxPanel+1, 16*(1+n%3)
		c := newBoundedCase(e.r, n)
		ws, as := e.floats(16), e.floats(tokens)
		strip, panel := make([]StripBlock, n), make([]PanelBlock, n)
		pair, square := boundPanelRef(panel, c.a)
		name := fmt.Sprintf("blocks=%d/tokens=%d", n, tokens)
		e.write("boundPanel/"+name, b.panel, []emulate.Arg{emulate.Ptr("blocks"), emulate.Ptr("panel"), emulate.Int(n)},
			map[string]emulate.Block{"blocks": emulate.Out(make([]PanelBlock, n)), "panel": emulate.In(c.a)},
			map[string][]byte{"blocks": emulate.Bytes(panel)}, emulate.Int(pair), emulate.Int(square))
		spread, square := boundStripRef(strip, c.w)
		if !slices.Contains(c.w, 0x80) { // the square of a block with -128 is anything
			e.write("boundStrip/"+name, b.strip, []emulate.Arg{emulate.Ptr("blocks"), emulate.Ptr("w"), emulate.Int(n)},
				map[string]emulate.Block{"blocks": emulate.Out(make([]StripBlock, n)), "w": emulate.In(c.w)},
				map[string][]byte{"blocks": emulate.Bytes(strip)}, emulate.Int(spread), emulate.Int(square))
		}
		out := e.floats((tokens-1)*stride + 16)
		want := slices.Clone(out)
		mulW8CRef(&want[0], stride, &c.w[0], &ws[0], nil, &c.a[0], MaxPanel, 4*n, &as[0], tokens)
		e.write("mulBounded/"+name, b.mul,
			[]emulate.Arg{emulate.Ptr("out"), emulate.Int(stride), emulate.Ptr("w"), emulate.Ptr("wScale"), emulate.Ptr("strip"), emulate.Ptr("panel"), emulate.Ptr("blocks"),
				emulate.Int(n), emulate.Ptr("aScale"), emulate.Int(tokens), emulate.Ptr("w"), emulate.Int(1 + n%4)},
			map[string]emulate.Block{"out": emulate.Out(out), "w": emulate.In(c.w), "wScale": emulate.In(ws), "strip": emulate.In(strip), "panel": emulate.In(c.a),
				"blocks": emulate.In(panel), "aScale": emulate.In(as)},
			map[string][]byte{"out": emulate.Bytes(want)})
	}
}
