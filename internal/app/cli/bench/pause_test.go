package bench

import (
	"runtime"
	"testing"
)

// A collection is a pause.
func TestPauses(t *testing.T) {
	p := StartPauses()
	runtime.GC()
	if got := p.Longest(); got <= 0 || got > 60 {
		t.Errorf("found a pause of %v s, want one", got)
	}
}
