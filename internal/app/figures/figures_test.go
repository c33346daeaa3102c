package figures

import (
	"testing"

	"github.com/systemgemma/systemgemma"
)

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999_999: "999999 bytes", 1_000_000: "1.0 MB", 2_614_341_888: "2.6 GB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestQuality(t *testing.T) {
	q := &systemgemma.Quality{Turns: systemgemma.Divergence{Positions: 3}, All: systemgemma.Divergence{Positions: 3}}
	if rows := Rows(q); len(rows) != 2 || rows[0].Name != "turns" || rows[1].Name != "all" {
		t.Errorf("%+v: want the texts that were read, turns and all", rows)
	}
	list := []systemgemma.TensorQuality{{Name: "a", Error: 0.25}, {Name: "b", Error: 0.5}, {Name: "c"}}
	if got := MeanError(list); got != 0.25 {
		t.Errorf("mean %v, want 0.25", got)
	}
	if got := Worst(list).Name; got != "b" {
		t.Errorf("worst %q, want b", got)
	}
	if got := MeanError(nil); got != 0 {
		t.Errorf("mean of none %v, want 0", got)
	}
}
