package meter

import (
	"testing"
	"time"
)

// A rate is of whole seconds, and forgets what is over.
func TestRate(t *testing.T) {
	var w window
	at := time.Unix(1_700_000_000, 0)
	for i := range 5 {
		w.add(at.Add(time.Duration(i)*time.Second), 40)
	}
	if got := w.rate(at.Add(4 * time.Second)); got != 16 { // the running second is left out
		t.Errorf("rate %v, want 16", got)
	}
	if got := w.rate(at.Add(5 * time.Second)); got != 20 {
		t.Errorf("rate %v, want 20", got)
	}
	if got := w.rate(at.Add(13 * time.Second)); got != 8 {
		t.Errorf("rate %v, want 8: three of five seconds are over", got)
	}
	if got := w.rate(at.Add(time.Hour)); got != 0 {
		t.Errorf("rate %v, want 0", got)
	}
	w.add(at, 7) // a clock that went back is no harm
	if got := w.rate(at.Add(time.Hour)); got != 0 {
		t.Errorf("rate %v, want 0", got)
	}
}
