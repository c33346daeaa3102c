package chat

import (
	"bytes"
	"io"
	"slices"
	"sync/atomic"

	"github.com/charmbracelet/x/ansi"
)

// gate is the way to a terminal. It knows whether the terminal shows its other screen, on which printed lines would be lost: the program
// decides for a screen some time before it draws it.
type gate struct {
	w      io.Writer
	inside atomic.Bool
	left   func() // called after the other screen was left; must not block
}

// Write passes on p. The other screen is emptied before it is left: tmux (3.3) brings rows of it back where it has grown meanwhile.
func (g *gate) Write(p []byte) (int, error) {
	in, out := bytes.LastIndex(p, []byte(ansi.SetModeAltScreenSaveCursor)), bytes.LastIndex(p, []byte(ansi.ResetModeAltScreenSaveCursor))
	if out <= in {
		n, err := g.w.Write(p)
		if in >= 0 {
			g.inside.Store(true)
		}
		return n, err
	}
	emptied := slices.Concat(p[:out], []byte(ansi.EraseEntireScreen), p[out:])
	if _, err := g.w.Write(emptied); err != nil {
		return 0, err
	}
	g.inside.Store(false)
	g.left()
	return len(p), nil
}

// device is a terminal as Bubble Tea wants it.
type device interface {
	io.ReadWriteCloser
	Fd() uintptr
}

// gatedDevice is a terminal behind a gate.
type gatedDevice struct {
	device
	gate *gate
}

// Write implements io.Writer.
func (d gatedDevice) Write(p []byte) (int, error) { return d.gate.Write(p) }

// output is what a program may write to instead of g.w: a terminal stays one.
func (g *gate) output() io.Writer {
	if d, ok := g.w.(device); ok {
		return gatedDevice{d, g}
	}
	return g
}
