package bench

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// A plot is XML whatever models are called, names each test of the most threads, and stays within its frame.
func TestPlot(t *testing.T) {
	rows := []Row{
		{Test: ReadBandwidth, Threads: 2, Value: spread{Min: 20, Median: 21, Max: 22}, CPU: "A & B <cpu>", Kernel: "avx2"},
		{Test: Int8Peak, Threads: 2, Value: spread{Min: 330, Median: 335, Max: 340}, Instruction: "vpmaddubsw"},
		{Test: Prefill, Threads: 2, Value: spread{Min: 60, Median: 61, Max: 62}, Model: "a<b", Type: "w8a8", Tokens: 512, Ops: 4e9, Bytes: 2e7, Roofline: 72},
		{Test: Decode, Threads: 2, Value: spread{Min: 6, Median: 7, Max: 8}, Model: "a<b", Type: "w8a8", Tokens: 32, Depth: 128, Ops: 5e9, Bytes: 2.6e9, Roofline: 83},
		{Test: Decode, Threads: 1, Value: spread{Min: 3, Median: 4, Max: 5}, Model: "a<b", Type: "w8a8", Tokens: 31, Ops: 5e9, Bytes: 2.6e9},
		{Test: Memory, Model: "a<b", Type: "w8a8", Tokens: 512},
	}
	svg := Plot(rows)
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
	for _, want := range []string{"A &amp; B &lt;cpu&gt;", "w8a8 prefill 512, 72 %", "w8a8 decode 32 at 128, 83 %", "340 GOPS", "22.0 GB/s"} {
		if !strings.Contains(svg, want) {
			t.Errorf("want %q in %s", want, svg)
		}
	}
	if strings.Contains(svg, "decode 31") || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Errorf("found a test with fewer threads, or no number: %s", svg)
	}
	for _, few := range [][]Row{nil, rows[:1], rows[1:3], rows[2:4], rows[3:5]} {
		if svg := Plot(few); strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("no number in a plot of %d rows: %s", len(few), svg)
		}
	}
}

// Names that would lie on each other go below.
func TestNamesKeepApart(t *testing.T) {
	var n names
	for _, c := range []struct{ lo, hi, y, want float64 }{
		{0, 100, 50, 50},
		{90, 190, 52, 65}, // from the other side
		{200, 300, 52, 52},
		{0, 300, 51, 80}, // below both, and below what lies below them
		{0, 10, 100, 100},
	} {
		if got := n.place(c.lo, c.hi, c.y); got != c.want {
			t.Errorf("place(%v, %v, %v) = %v, want %v", c.lo, c.hi, c.y, got, c.want)
		}
	}
}
