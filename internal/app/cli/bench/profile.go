package bench

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Share is the time that went into one kind of operation, as the CPU profile sampled it.
type Share struct {
	Kind    string
	Seconds float64 // of all processors together
}

// frame is one function of a sampled stack.
type frame struct{ function, file string }

// kindOf names what a stack, innermost frame first, was doing: the innermost function of the engine decides, so that a kernel
// counts for what it was called for.
func kindOf(stack []frame) string {
	for _, f := range stack {
		_, function, ours := strings.Cut(f.function, "systemgemma/systemgemma")
		if !ours {
			continue
		}
		pkg, name, _ := strings.Cut(strings.TrimPrefix(function, "/"), ".")
		file := strings.TrimSuffix(path.Base(strings.ReplaceAll(f.file, `\`, "/")), ".go")
		switch pkg {
		case "internal/gemma2":
			if kind := kindInModel(file, name); kind != "" {
				return kind
			}
		case "internal/decode/sampler":
			return "choosing tokens"
		case "internal/compute/parallel":
			return "waiting for other threads"
		case "internal/load", "internal/compute/quant", "internal/checkpoint":
			return "making weights"
		}
	}
	return "the rest"
}

// kindInModel sorts functions of the model by their file, and where one holds several kinds, by name; "": not decided here.
func kindInModel(file, name string) string {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(name), w) })
	}
	switch {
	case has("norm", "join", "activate"):
		return "norms and activations"
	case has("rotate", "angles", "store"), file == "rope", file == "kv":
		return "positions, storing keys and values"
	case strings.HasPrefix(file, "attention"), has("attend", "attention"):
		return "attention"
	case has("pack"):
		return "rounding activations"
	case strings.HasPrefix(file, "linear"):
		return "matrix products"
	case has("embed", "caplogits", "finish"):
		return "embedding and soft cap of logits"
	}
	return ""
}

// Shares reads a CPU profile as runtime/pprof writes it and sums its time by kind, the largest first.
func Shares(profile []byte) ([]Share, error) {
	zipped, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		return nil, fmt.Errorf("CPU profile: %w", err)
	}
	data, err := io.ReadAll(zipped)
	if err != nil {
		return nil, fmt.Errorf("CPU profile: %w", err)
	}
	p := parsed{lines: map[uint64][]uint64{}, names: map[uint64][2]uint64{}}
	if err := p.parse(data); err != nil {
		return nil, fmt.Errorf("CPU profile: %w", err)
	}
	sums := map[string]float64{}
	for _, s := range p.samples {
		var stack []frame
		for _, location := range s.locations {
			for _, function := range p.lines[location] {
				names := p.names[function]
				stack = append(stack, frame{p.text(names[0]), p.text(names[1])})
			}
		}
		sums[kindOf(stack)] += float64(s.nanoseconds) / 1e9
	}
	var list []Share
	for kind, seconds := range sums {
		list = append(list, Share{kind, seconds})
	}
	slices.SortFunc(list, func(a, b Share) int { return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Kind, b.Kind)) })
	return list, nil
}

// SharesText is a table of them.
func SharesText(list []Share) string {
	sum := 0.0
	for _, s := range list {
		sum += s.Seconds
	}
	if sum == 0 {
		return "time by kind of operation: no samples, the run was too short\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "time by kind of operation, of %.1f s of all processors together (sampled)\n", sum)
	for _, s := range list {
		fmt.Fprintf(&b, "%6.1f %%  %s\n", 100*s.Seconds/sum, s.Kind)
	}
	return b.String()
}

// parsed holds what Shares needs of a profile (github.com/google/pprof/proto/profile.proto).
type parsed struct {
	samples []sample
	lines   map[uint64][]uint64  // location: functions, an inlined one before its caller
	names   map[uint64][2]uint64 // function: name and file, in strings
	strings []string
}

type sample struct {
	locations   []uint64
	nanoseconds uint64
}

func (p *parsed) text(i uint64) string {
	if i >= uint64(len(p.strings)) {
		return ""
	}
	return p.strings[i]
}

// parse reads the fields of message Profile: sample 2, location 4, function 5, string_table 6.
func (p *parsed) parse(data []byte) error {
	return fields(data, func(number int, _ uint64, body []byte) error {
		switch number {
		case 2:
			var values []uint64
			var s sample
			err := fields(body, func(number int, v uint64, body []byte) error {
				switch number {
				case 1:
					return numbers(v, body, &s.locations)
				case 2:
					return numbers(v, body, &values)
				}
				return nil
			})
			if err != nil || len(values) != 2 { // count, nanoseconds
				return cmp.Or(err, errors.New("want two values a sample"))
			}
			s.nanoseconds = values[1]
			p.samples = append(p.samples, s)
		case 4:
			var id uint64
			var functions []uint64
			err := fields(body, func(number int, v uint64, body []byte) error {
				switch number {
				case 1:
					id = v
				case 4:
					return fields(body, func(number int, v uint64, _ []byte) error {
						if number == 1 {
							functions = append(functions, v)
						}
						return nil
					})
				}
				return nil
			})
			p.lines[id] = functions
			return err
		case 5:
			var id uint64
			var names [2]uint64
			err := fields(body, func(number int, v uint64, _ []byte) error {
				switch number {
				case 1:
					id = v
				case 2:
					names[0] = v
				case 4:
					names[1] = v
				}
				return nil
			})
			p.names[id] = names
			return err
		case 6:
			p.strings = append(p.strings, string(body))
		}
		return nil
	})
}

var errTruncated = errors.New("found only the beginning of a field")

// fields calls f for each field of a protocol buffer message: its number, and a value or a body.
func fields(data []byte, f func(number int, value uint64, body []byte) error) error {
	for len(data) > 0 {
		tag, rest, err := varint(data)
		if err != nil {
			return err
		}
		var value uint64
		var body []byte
		switch tag & 7 {
		case 0:
			value, rest, err = varint(rest)
		case 2:
			if value, rest, err = varint(rest); err == nil && value > uint64(len(rest)) {
				err = errTruncated
			}
			if err == nil {
				body, rest = rest[:value], rest[value:]
			}
		default:
			err = fmt.Errorf("want fields of numbers and bytes, found wire type %d", tag&7)
		}
		if err == nil {
			err = f(int(tag>>3), value, body)
		}
		if err != nil {
			return err
		}
		data = rest
	}
	return nil
}

// numbers appends a repeated number, packed in body or a single value.
func numbers(value uint64, body []byte, list *[]uint64) (err error) {
	if body == nil {
		*list = append(*list, value)
		return nil
	}
	for len(body) > 0 && err == nil {
		if value, body, err = varint(body); err == nil {
			*list = append(*list, value)
		}
	}
	return err
}

func varint(b []byte) (x uint64, rest []byte, err error) {
	for i, c := range b[:min(10, len(b))] {
		x |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return x, b[i+1:], nil
		}
	}
	return 0, nil, errTruncated
}
