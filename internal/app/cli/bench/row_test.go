package bench

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/systemgemma/systemgemma"
)

type spread = systemgemma.Spread

// examples holds a row of each test, its JSON and its text.
var examples = []struct {
	row        Row
	json, text string
}{
	{
		Row{Test: Prefill, Threads: 2, Value: spread{Min: 99, Median: 100.5, Max: 120}, Model: "synthetic 2b", Type: "w8a8", Tokens: 512, Roofline: 81.25, Ops: 4e9, Bytes: 20.5e6},
		`{"test":"prefill","type":"w8a8","tokens":512,"depth":0,"threads":2,"tok_s":{"min":99,"median":100.5,"max":120},"roofline_pct":81.25,"ops_per_token":4000000000,"bytes_per_token":20500000,"model":"synthetic 2b"}`,
		"synthetic 2b       w8a8   prefill            512      0       2        100 tok/s          99.0 - 120     81 %\n",
	},
	{
		Row{Test: Decode, Threads: 1, Value: spread{Min: 9, Median: 9.5, Max: 10}, Model: "mini", Type: "bf16", Tokens: 32, Depth: 4096},
		`{"test":"decode","type":"bf16","tokens":32,"depth":4096,"threads":1,"tok_s":{"min":9,"median":9.5,"max":10},"roofline_pct":null,"model":"mini"}`,
		"mini               bf16   decode              32   4096       1       9.50 tok/s         9.00 - 10.0\n",
	},
	{
		Row{Test: ParallelDecode, Threads: 2, Value: spread{Min: 15, Median: 16, Max: 17}, Model: "mini", Type: "w8a8", Tokens: 16, Depth: 128},
		`{"test":"parallel_decode","type":"w8a8","tokens":16,"depth":128,"threads":2,"tok_s":{"min":15,"median":16,"max":17},"roofline_pct":null,"model":"mini"}`,
		"mini               w8a8   parallel_decode     16    128       2       16.0 tok/s         15.0 - 17.0\n",
	},
	{
		Row{Test: ReadWeights, Threads: 2, Value: spread{Min: 28, Median: 29.5, Max: 31.25}, Model: "mini", Type: "w8a8"},
		`{"test":"read_weights","type":"w8a8","threads":2,"gb_s":{"min":28,"median":29.5,"max":31.25},"model":"mini"}`,
		"mini               w8a8   read_weights                        2       29.5 GB/s          28.0 - 31.2\n",
	},
	{
		Row{Test: ReadBandwidth, Threads: 2, Value: spread{Min: 30, Median: 31, Max: 33.25}, CPU: "A (CPU)", Kernel: "avx2", BufferBytes: 256 << 20},
		`{"test":"read_bandwidth","threads":2,"gb_s":{"min":30,"median":31,"max":33.25},"buffer_bytes":268435456,"cpu":"A (CPU)","kernel":"avx2"}`,
		"read bandwidth   33.2 GB/s (30.0 - 33.2), 256 MiB in order, 2 threads\n",
	},
	{
		Row{Test: Int8Peak, Threads: 1, Value: spread{Min: 400, Median: 460, Max: 467}, CPU: "c", Kernel: "neon", Instruction: "sdot"},
		`{"test":"int8_peak","threads":1,"gops":{"min":400,"median":460,"max":467},"instruction":"sdot","cpu":"c","kernel":"neon"}`,
		"int8 peak        467 GOPS (400 - 467), sdot, 1 thread\n",
	},
	{
		Row{Test: Memory, Model: "a/long/path/to/a/model.gguf", Type: "w8a8", Tokens: 1024, PeakBytes: 2_700_000_000, WeightBytes: 2_600_000_000, KVBytes: 54_000_000, Pause: 0.00012},
		`{"test":"memory","type":"w8a8","tokens":1024,"peak_rss_bytes":2700000000,"weight_bytes":2600000000,"kv_bytes":54000000,"gc_pause_seconds":0.00012,"model":"a/long/path/to/a/model.gguf"}`,
		"…h/to/a/model.gguf w8a8   memory            1024                      2700 MB    weights 2600 MB, KV cache 54.0 MB, longest GC pause 0.120 ms\n",
	},
	{
		Row{Test: Load, Threads: 2, Model: "mini", Type: "w8a8", Value: spread{Min: 0.002, Median: 0.0033, Max: 0.25}},
		`{"test":"load","type":"w8a8","threads":2,"seconds":{"min":0.002,"median":0.0033,"max":0.25},"model":"mini"}`,
		"mini               w8a8   load                                2       3.30 ms             2.00 - 250\n",
	},
}

// The JSON of each test is exactly this, and is read back.
func TestRowJSON(t *testing.T) {
	for _, e := range examples {
		var b strings.Builder
		out := json.NewEncoder(&b)
		out.SetEscapeHTML(false)
		if err := out.Encode(e.row); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(e.json+"\n", b.String()); d != "" {
			t.Error(d)
		}
		var back Row
		if err := json.Unmarshal([]byte(e.json), &back); err != nil {
			t.Errorf("%s: %v", e.json, err)
		}
		if d := cmp.Diff(e.row, back); d != "" {
			t.Error(d)
		}
	}
}

// Files of an earlier version have another name for one test.
func TestEarlierName(t *testing.T) {
	var r Row
	line := strings.Replace(examples[2].json, "parallel_decode", "parallel", 1)
	if err := json.Unmarshal([]byte(line), &r); err != nil || r != examples[2].row {
		t.Errorf("%s: %+v, %v", line, r, err)
	}
}

func TestRowText(t *testing.T) {
	for _, e := range examples {
		if d := cmp.Diff(e.text, e.row.String()); d != "" {
			t.Error(d)
		}
	}
	const head = "model              type   test            tokens  depth threads     median                 min - max  of roof\n"
	if d := cmp.Diff(head, Head()); d != "" {
		t.Error(d)
	}
}

func TestRead(t *testing.T) {
	var lines []string
	var want []Row
	for _, e := range examples {
		lines, want = append(lines, e.json), append(want, e.row)
	}
	got, err := Read(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// A later version may write more.
	if _, err := Read(strings.NewReader(`{"new": [1], ` + lines[0][1:])); err != nil {
		t.Error(err)
	}
}

// Files that bench never wrote give an error that names the line.
func TestReadRefuses(t *testing.T) {
	good := examples[0].json
	for in, want := range map[string]string{
		"":                     "want lines of bench --json, found none",
		good + "\n\n":          "line 2: want a JSON object of bench --json",
		"[]":                   "line 1: want a JSON object of bench --json",
		"null":                 "line 1: test: want prefill",
		"GGUF\x00":             "line 1: want a JSON object of bench --json",
		good + "\n" + good:     "line 2: the same test as in line 1",
		`{"test":"fly"}`:       `line 1: test: want prefill, decode, parallel_decode, parallel_whole, read_weights, read_bandwidth, int8_peak, memory or load, found "fly"`,
		`{"test":"prefill"}`:   "a field is missing",
		`{"test":"memory"}`:    "a field is missing",
		`{"test":"load"}`:      "a field is missing",
		`{"test":"int8_peak"}`: "a field is missing",
		`{"test":"read_bandwidth","threads":1,"gops":{"min":1,"median":1,"max":1}}`: "a field is missing",
		strings.Replace(good, `"tokens":512`, `"tokens":-5`, 1):                     "out of range",
		strings.Replace(good, `"tokens":512`, `"tokens":1e99`, 1):                   "tokens: found a number 1e99",
		strings.Replace(good, `"tokens":512`, `"tokens":"512"`, 1):                  "tokens: found a string",
		strings.Replace(good, `"threads":2`, `"threads":0`, 1):                      "threads 0",
		strings.Replace(good, `"min":99`, `"min":0`, 1):                             "0 < min <= median <= max",
		strings.Replace(good, `"min":99`, `"min":101`, 1):                           "0 < min <= median <= max",
		strings.Replace(good, `"max":120`, `"max":100`, 1):                          "0 < min <= median <= max",
		strings.Replace(good, `"max":120`, `"max":1e999`, 1):                        "line 1: ",
		strings.Replace(good, `81.25`, `-1`, 1):                                     "out of range",
		strings.Repeat("x", 1<<17):                                                  "line 1: bufio.Scanner: token too long",
	} {
		if _, err := Read(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.120q: %v, want %q", in, err, want)
		}
	}
	var many strings.Builder
	for i := range maxRows + 1 {
		many.WriteString(strings.Replace(good, "512", strconv.Itoa(i+1), 1) + "\n")
	}
	if _, err := Read(strings.NewReader(many.String())); err == nil || !strings.Contains(err.Error(), "line 10001: want at most 10000 lines") {
		t.Errorf("too many lines: %v", err)
	}
}

// What is read can be shown, written, read again the same, and compared.
func FuzzRead(f *testing.F) {
	for _, e := range examples {
		f.Add(e.json)
	}
	f.Add(examples[0].json + "\n" + examples[2].json)
	f.Fuzz(func(t *testing.T, in string) {
		rows, err := Read(strings.NewReader(in))
		if err != nil {
			return
		}
		for _, r := range rows {
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			var back Row
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			if d := cmp.Diff(r, back); d != "" {
				t.Fatal(d)
			}
			_ = r.String()
		}
		for _, c := range Compare(rows, rows) {
			if c.Verdict != Noise {
				t.Fatalf("%+v differs from itself", c)
			}
		}
		_ = Report(Compare(rows, nil))
	})
}
