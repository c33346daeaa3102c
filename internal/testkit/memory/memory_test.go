package memory

import (
	"runtime"
	"testing"
	"time"
)

var sink []byte

func TestMeasures(t *testing.T) {
	const n, rounds = 8 << 20, 5
	run := func() {
		for range rounds {
			sink = nil // at most one of the blocks is alive
			sink = make([]byte, n)
			time.Sleep(20 * time.Millisecond)
		}
	}
	if got := Allocated(run); got < rounds*n || got > rounds*n+1<<20 {
		t.Errorf("Allocated = %d, want about %d", got, rounds*n)
	}
	sink = nil
	if got := PeakLive(run); got < n || got > n+n/2 {
		t.Errorf("PeakLive = %d, want about %d", got, n)
	}
	runtime.KeepAlive(sink)
}
