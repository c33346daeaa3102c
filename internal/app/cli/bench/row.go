// Package bench shows, compares and explains what systemgemma.Model.Bench measures: JSON lines, a table, verdicts against an
// earlier run, and time by kind of operation.
//
// It must not know how something is measured or where output goes.
package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma"
)

// Tests that a Row can hold, as JSON names them.
const (
	Prefill        = string(systemgemma.BenchPrefill)
	Decode         = string(systemgemma.BenchDecode)
	ParallelDecode = string(systemgemma.BenchParallelDecode)
	ParallelWhole  = string(systemgemma.BenchParallelWhole)
	ReadWeights    = string(systemgemma.BenchReadWeights)
	ReadBandwidth  = "read_bandwidth"
	Int8Peak       = "int8_peak"
	Memory         = "memory"
	Load           = "load"
)

// earlierParallel is what an earlier version called ParallelDecode.
const earlierParallel = "parallel"

// Row is one measurement. Which fields count depends on Test.
type Row struct {
	Test    string
	Threads int
	Value   systemgemma.Spread // tokens/s (prefill, decode, parallel_...), GB/s (read_...), GOPS or seconds (load)

	// Of a model: all but read_bandwidth and int8_peak.
	Model, Type   string
	Tokens, Depth int
	Roofline      float64 // per cent; 0: not known
	Ops, Bytes    float64 // that a token costs; 0: not known

	// Of the machine: read_bandwidth and int8_peak.
	CPU, Kernel, Instruction string
	BufferBytes              int64

	// memory.
	PeakBytes, WeightBytes, KVBytes int64
	Pause                           float64 // seconds: the longest that the garbage collector took while the tests ran
}

// rate, reading, machine, memory and load are the JSON objects of each kind of test. Field order is that of the output.
type rate struct {
	Test     string              `json:"test"`
	Type     string              `json:"type"`
	Tokens   *int                `json:"tokens"`
	Depth    *int                `json:"depth"`
	Threads  int                 `json:"threads"`
	TokS     *systemgemma.Spread `json:"tok_s"`
	Roofline *float64            `json:"roofline_pct"` // null: not known
	Ops      float64             `json:"ops_per_token,omitzero"`
	Bytes    float64             `json:"bytes_per_token,omitzero"`
	Model    string              `json:"model"`
}

type reading struct {
	Test    string              `json:"test"`
	Type    string              `json:"type"`
	Threads int                 `json:"threads"`
	GBS     *systemgemma.Spread `json:"gb_s"`
	Model   string              `json:"model"`
}

type machine struct {
	Test        string              `json:"test"`
	Threads     int                 `json:"threads"`
	GBS         *systemgemma.Spread `json:"gb_s,omitempty"`
	GOPS        *systemgemma.Spread `json:"gops,omitempty"`
	Instruction string              `json:"instruction,omitempty"`
	BufferBytes int64               `json:"buffer_bytes,omitempty"`
	CPU         string              `json:"cpu"`
	Kernel      string              `json:"kernel"`
}

type memory struct {
	Test        string  `json:"test"`
	Type        string  `json:"type"`
	Tokens      *int    `json:"tokens"` // context that the KV cache had to hold
	PeakBytes   *int64  `json:"peak_rss_bytes"`
	WeightBytes *int64  `json:"weight_bytes"`
	KVBytes     *int64  `json:"kv_bytes"`
	Pause       float64 `json:"gc_pause_seconds"`
	Model       string  `json:"model"`
}

type load struct {
	Test    string              `json:"test"`
	Type    string              `json:"type"`
	Threads int                 `json:"threads"`
	Seconds *systemgemma.Spread `json:"seconds"`
	Model   string              `json:"model"`
}

// MarshalJSON gives the object of the row's test.
func (r Row) MarshalJSON() ([]byte, error) {
	switch r.Test {
	case ReadWeights:
		return json.Marshal(reading{r.Test, r.Type, r.Threads, &r.Value, r.Model})
	case ReadBandwidth:
		return json.Marshal(machine{Test: r.Test, Threads: r.Threads, GBS: &r.Value, BufferBytes: r.BufferBytes, CPU: r.CPU, Kernel: r.Kernel})
	case Int8Peak:
		return json.Marshal(machine{Test: r.Test, Threads: r.Threads, GOPS: &r.Value, Instruction: r.Instruction, CPU: r.CPU, Kernel: r.Kernel})
	case Memory:
		return json.Marshal(memory{r.Test, r.Type, &r.Tokens, &r.PeakBytes, &r.WeightBytes, &r.KVBytes, r.Pause, r.Model})
	case Load:
		return json.Marshal(load{r.Test, r.Type, r.Threads, &r.Value, r.Model})
	}
	x := rate{r.Test, r.Type, &r.Tokens, &r.Depth, r.Threads, &r.Value, nil, r.Ops, r.Bytes, r.Model}
	if r.Roofline > 0 {
		x.Roofline = &r.Roofline
	}
	return json.Marshal(x)
}

// UnmarshalJSON is the inverse of MarshalJSON. It refuses what MarshalJSON never gives; unknown fields are passed over, since a later
// version may write more.
func (r *Row) UnmarshalJSON(data []byte) error {
	var kind struct {
		Test string `json:"test"`
	}
	if err := json.Unmarshal(data, &kind); err != nil {
		return errors.New("want a JSON object of bench --json")
	}
	switch kind.Test {
	case Prefill, Decode, ParallelDecode, ParallelWhole, earlierParallel:
		return decode(data, r, func(x *rate) (Row, bool) {
			if x.Tokens == nil || x.Depth == nil || x.TokS == nil {
				return Row{}, false
			}
			row := Row{Test: x.Test, Threads: x.Threads, Value: *x.TokS, Model: x.Model, Type: x.Type, Tokens: *x.Tokens, Depth: *x.Depth, Ops: x.Ops, Bytes: x.Bytes}
			if row.Test == earlierParallel {
				row.Test = ParallelDecode
			}
			if x.Roofline != nil {
				row.Roofline = *x.Roofline
			}
			return row, row.Roofline >= 0 && row.Ops >= 0 && row.Bytes >= 0 && row.Tokens > 0 && row.Depth >= 0
		})
	case ReadWeights:
		return decode(data, r, func(x *reading) (Row, bool) {
			if x.GBS == nil {
				return Row{}, false
			}
			return Row{Test: x.Test, Threads: x.Threads, Value: *x.GBS, Model: x.Model, Type: x.Type}, true
		})
	case ReadBandwidth, Int8Peak:
		return decode(data, r, func(x *machine) (Row, bool) {
			value := x.GBS
			if x.Test == Int8Peak {
				value = x.GOPS
			}
			if value == nil {
				return Row{}, false
			}
			return Row{Test: x.Test, Threads: x.Threads, Value: *value, CPU: x.CPU, Kernel: x.Kernel, Instruction: x.Instruction, BufferBytes: x.BufferBytes}, true
		})
	case Memory:
		return decode(data, r, func(x *memory) (Row, bool) {
			if x.Tokens == nil || x.PeakBytes == nil || x.WeightBytes == nil || x.KVBytes == nil {
				return Row{}, false
			}
			row := Row{Test: x.Test, Model: x.Model, Type: x.Type, Tokens: *x.Tokens, PeakBytes: *x.PeakBytes, WeightBytes: *x.WeightBytes, KVBytes: *x.KVBytes, Pause: x.Pause}
			return row, min(row.PeakBytes, row.WeightBytes, row.KVBytes) >= 0 && row.Pause >= 0
		})
	case Load:
		return decode(data, r, func(x *load) (Row, bool) {
			if x.Seconds == nil {
				return Row{}, false
			}
			return Row{Test: x.Test, Threads: x.Threads, Value: *x.Seconds, Model: x.Model, Type: x.Type}, true
		})
	}
	return fmt.Errorf("test: want prefill, decode, parallel_decode, parallel_whole, read_weights, read_bandwidth, int8_peak, memory or load, found %.40q", kind.Test)
}

// decode reads an object of one kind and holds it to what that kind must have.
func decode[T any](data []byte, r *Row, convert func(*T) (Row, bool)) error {
	var x T
	if err := json.Unmarshal(data, &x); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return fmt.Errorf("%s: found a %s", kind.Field, kind.Value)
		}
		return err
	}
	row, ok := convert(&x)
	switch v := row.Value; {
	case !ok:
		return fmt.Errorf("%T: a field is missing or out of range", x)
	case row.Test != Memory && (row.Threads < 1 || !(v.Min > 0 && v.Min <= v.Median && v.Median <= v.Max && v.Max < math.MaxFloat64)):
		return fmt.Errorf("want threads and 0 < min <= median <= max, found threads %d and %v, %v, %v", row.Threads, v.Min, v.Median, v.Max)
	}
	*r = row
	return nil
}

// key is what makes two rows comparable.
type key struct {
	test, model, typ       string
	tokens, depth, threads int
}

func (r *Row) key() key { return key{r.Test, r.Model, r.Type, r.Tokens, r.Depth, r.Threads} }

// Limits of a file that Read takes.
const (
	maxLine = 1 << 16
	maxRows = 10_000
)

// Read reads what `bench --json` wrote: one object a line. Errors name the line.
func Read(in io.Reader) (rows []Row, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	seen := map[key]int{}
	n := 1
	for ; lines.Scan(); n++ {
		var r Row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				err = errors.New("want a JSON object of bench --json")
			}
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if first := seen[r.key()]; first > 0 {
			return nil, fmt.Errorf("line %d: the same test as in line %d", n, first)
		}
		if len(rows) == maxRows {
			return nil, fmt.Errorf("line %d: want at most %d lines", n, maxRows)
		}
		seen[r.key()] = n
		rows = append(rows, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n, err)
	}
	if len(rows) == 0 {
		return nil, errors.New("want lines of bench --json, found none")
	}
	return slices.Clip(rows), nil
}
