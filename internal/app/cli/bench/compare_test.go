package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func rateRow(min, median, max float64) Row {
	return Row{Test: Decode, Threads: 2, Value: spread{Min: min, Median: median, Max: max}, Model: "m", Type: "w8a8", Tokens: 32}
}

// Ranges that touch are noise; ranges that lie apart are not, if the medians differ by more than 2 %.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		before, after Row
		want          Verdict
		ratio         float64
	}{
		{rateRow(9, 10, 11), rateRow(12, 13, 14), Better, 1.3},
		{rateRow(12, 13, 14), rateRow(9, 10.4, 11), Worse, 0.8},
		{rateRow(9, 10, 11), rateRow(10.9, 12, 13), Noise, 1.2},
		{rateRow(9, 10, 11), rateRow(11, 12, 13), Noise, 1.2}, // 11 was seen in both
		{rateRow(10, 10, 10), rateRow(10.1, 10.1, 10.1), Noise, 1.01},
		{rateRow(10, 10, 10), rateRow(10.3, 10.3, 10.3), Better, 1.03},
		{rateRow(10.3, 10.3, 10.3), rateRow(10, 10, 10), Worse, 10 / 10.3},
		{rateRow(10, 10, 10), rateRow(9.9, 9.9, 9.9), Noise, 0.99},
		{rateRow(5, 10, 20), rateRow(1, 10, 30), Noise, 1},
		{load1(1, 2, 3), load1(0.1, 0.2, 0.3), Better, 0.1}, // seconds: less is better
		{load1(0.1, 0.2, 0.3), load1(1, 2, 3), Worse, 10},
		{load1(0.1, 0.2, 0.3), load1(0.1, 0.2, 0.3), Noise, 1},
		{memory1(100), memory1(50), Better, 0.5},
		{memory1(50), memory1(100), Worse, 2},
		{memory1(100), memory1(101), Noise, 1.01},
		{memory1(0), memory1(101), Noise, 1}, // was not known
	} {
		got := Compare([]Row{c.before}, []Row{c.after})
		if len(got) != 1 || got[0].Verdict != c.want || got[0].Ratio < c.ratio-1e-9 || got[0].Ratio > c.ratio+1e-9 {
			t.Errorf("%v -> %v: %+v, want verdict %d, ratio %v", c.before.Value, c.after.Value, got, c.want, c.ratio)
		}
	}
}

func load1(min, median, max float64) Row {
	return Row{Test: Load, Threads: 2, Model: "m", Type: "w8a8", Value: spread{Min: min, Median: median, Max: max}}
}

func memory1(peak int64) Row {
	return Row{Test: Memory, Model: "m", Type: "w8a8", Tokens: 10, PeakBytes: peak}
}

// Only the same test of the same model with the same threads is compared.
func TestCompareByKey(t *testing.T) {
	base := rateRow(1, 1, 1)
	for name, change := range map[string]func(*Row){
		"test": func(r *Row) { r.Test = Prefill }, "model": func(r *Row) { r.Model = "n" }, "type": func(r *Row) { r.Type = "bf16" },
		"tokens": func(r *Row) { r.Tokens = 64 }, "depth": func(r *Row) { r.Depth = 5 }, "threads": func(r *Row) { r.Threads = 1 },
	} {
		other := base
		change(&other)
		got := Compare([]Row{base}, []Row{other})
		if len(got) != 2 || got[0].Verdict != New || got[1].Verdict != Missing || got[1].Before != base {
			t.Errorf("%s differs: %+v, want one new and one missing", name, got)
		}
	}
}

// The whole report of a made-up pair of runs.
func TestReport(t *testing.T) {
	slower := rateRow(5, 6, 7)
	slower.Depth = 4096
	was := rateRow(9, 9, 9)
	was.Depth = 4096
	gone := rateRow(3, 3, 3)
	gone.Threads = 1
	before := []Row{bandwidth(30, "A", "avx2"), rateRow(9, 10, 11), was, gone, load1(1, 2, 3), memory1(2e9)}
	after := []Row{bandwidth(30, "A", "avx2"), rateRow(12, 13, 14), slower, load1(1, 2.1, 3), memory1(1e9)}
	const want = `model              type   test            tokens  depth threads     before        now   ratio  verdict
                          read_bandwidth                      2       30.0       30.0    1.00  within noise
m                  w8a8   decode              32              2       10.0       13.0    1.30  faster
m                  w8a8   decode              32   4096       2       9.00       6.00    0.67  slower
m                  w8a8   load                                2    2000 ms    2100 ms    1.05  within noise
m                  w8a8   memory              10                   2000 MB    1000 MB    0.50  smaller
m                  w8a8   decode              32              1       3.00                     not measured now
verdict: 2 better, 1 worse, 1 within noise, 1 not in both
`
	if d := cmp.Diff(want, Report(Compare(before, after))); d != "" {
		t.Error(d)
	}
}

func bandwidth(gbs float64, cpu, kernel string) Row {
	return Row{Test: ReadBandwidth, Threads: 2, Value: spread{Min: gbs, Median: gbs, Max: gbs}, CPU: cpu, Kernel: kernel}
}

// A machine that changed is told, since speeds then say little about the program.
func TestReportTellsOfTheMachine(t *testing.T) {
	for want, after := range map[string]Row{
		"another machine: before A (avx2), now B (avx2); compare shares of the roof instead\n":                            bandwidth(30, "B", "avx2"),
		"another machine: before A (avx2), now A (reference); compare shares of the roof instead\n":                       bandwidth(30, "A", "reference"),
		"the machine itself was slower (read_bandwidth): compare shares of the roof, or measure again when it is quiet\n": bandwidth(20, "A", "avx2"),
		"the machine itself was faster (read_bandwidth): compare shares of the roof, or measure again when it is quiet\n": bandwidth(40, "A", "avx2"),
		"": bandwidth(30, "A", "avx2"),
	} {
		if got := change(&Compare([]Row{bandwidth(30, "A", "avx2")}, []Row{after})[0]); got != want {
			t.Errorf("%+v: %q, want %q", after, got, want)
		}
	}
}
