package bench

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"runtime/pprof"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/systemgemma/systemgemma"
)

// The innermost function of the engine decides.
func TestKindOf(t *testing.T) {
	const root = "github.com/systemgemma/systemgemma/"
	product := frame{root + "internal/gemma2.(*linear).mulStrip", "/x/linear.go"}
	kernel := frame{root + "internal/compute/kernel.mulW8CAVX2", "/x/mul.s"}
	for want, stack := range map[string][]frame{
		"matrix products":                    {kernel, {root + "internal/compute/kernel.MulW8C", "product.go"}, product, {root + "internal/compute/parallel.(*Crew).work", "parallel.go"}},
		"attention":                          {kernel, {root + "internal/gemma2.(*attention).segment", `C:\x\attention.go`}, {root + "internal/compute/parallel.(*Crew).work", ""}},
		"norms and activations":              {kernel, {root + "internal/gemma2.(*Model).norm", "layer.go"}, {root + "internal/gemma2.(*Model).join", "layer.go"}, {root + "internal/gemma2.(*linear).pack", "linear.go"}},
		"rounding activations":               {kernel, {root + "internal/gemma2.(*linear).pack", "linear.go"}},
		"positions, storing keys and values": {{root + "internal/compute/half.ToF16", "half.go"}, {root + "internal/gemma2.(*Cache).store", "kv.go"}},
		"embedding and soft cap of logits":   {kernel, {root + "internal/gemma2.(*Model).capLogits", "layer.go"}},
		"choosing tokens":                    {{"math.Exp", "exp.go"}, {root + "internal/decode/sampler.LogSumExp", "math.go"}},
		"waiting for other threads":          {{"time.Now", "time.go"}, {root + "internal/compute/parallel.spinUntil", "parallel.go"}},
		"making weights":                     {{root + "internal/load.mix", "synthetic.go"}, {root + "internal/load.fill", "synthetic.go"}, {root + "internal/compute/parallel.(*Crew).work", ""}},
		"the rest":                           {{"runtime.gcDrain", "mgc.go"}},
	} {
		if got := kindOf(stack); got != want {
			t.Errorf("%v: %q, want %q", stack, got, want)
		}
	}
	if got := kindOf(nil); got != "the rest" {
		t.Errorf("no stack: %q", got)
	}
}

// message makes a protocol buffer message of bodies and numbers.
type message []byte

func (m message) number(field int, v uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3), v)
}

func (m message) body(field int, b []byte) message {
	return append(binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3|2), uint64(len(b))), b...)
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// A profile written by hand: two samples in a function that was inlined, one elsewhere.
func handmade() message {
	p := message{}
	for _, s := range []string{"", "github.com/systemgemma/systemgemma/internal/gemma2.(*linear).mul", "/a/linear.go", "main.main", "main.go"} {
		p = p.body(6, []byte(s))
	}
	p = p.body(5, message{}.number(1, 7).number(2, 1).number(4, 2))
	p = p.body(5, message{}.number(1, 8).number(2, 3).number(4, 4))
	p = p.body(4, message{}.number(1, 70).body(4, message{}.number(1, 8).number(2, 33)).body(4, message{}.number(1, 7)))
	p = p.body(4, message{}.number(1, 80).body(4, message{}.number(1, 8)))
	packed := binary.AppendUvarint(binary.AppendUvarint(nil, 2), 20e6)
	p = p.body(2, message{}.body(1, []byte{70, 80}).body(2, packed))
	return p.body(2, message{}.number(1, 80).number(2, 1).number(2, 5e6))
}

func TestShares(t *testing.T) {
	got, err := Shares(zipped(handmade()))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Share{{"matrix products", 0.02}, {"the rest", 0.005}}, got); d != "" {
		t.Error(d)
	}
	const want = "time by kind of operation, of 0.0 s of all processors together (sampled)\n  80.0 %  matrix products\n  20.0 %  the rest\n"
	if d := cmp.Diff(want, SharesText(got)); d != "" {
		t.Error(d)
	}
	if got := SharesText(nil); got != "time by kind of operation: no samples, the run was too short\n" {
		t.Errorf("no samples: %q", got)
	}
}

// A profile that the runtime writes is understood: most of the time goes into products.
func TestSharesOfARealProfile(t *testing.T) {
	m, err := systemgemma.OpenSynthetic("tiny", "w8a8", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		t.Skip(err) // the test itself is being profiled
	}
	for _, err := range m.Bench(t.Context(), systemgemma.BenchOptions{Prefill: []int{512}, Repeat: 6}) {
		if err != nil {
			t.Error(err)
		}
	}
	pprof.StopCPUProfile()
	shares, err := Shares(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	seconds := map[string]float64{}
	for _, s := range shares {
		seconds[s.Kind] += s.Seconds
	}
	if len(shares) == 0 {
		t.Skip("no samples: this system has no profiling timer")
	}
	if seconds["matrix products"] <= 0 || seconds["attention"] <= 0 {
		t.Errorf("%v: want products and attention in it", seconds)
	}
}

// Damaged profiles give errors, never a panic.
func FuzzShares(f *testing.F) {
	f.Add([]byte(handmade()))
	f.Add([]byte{0x0a})
	f.Add([]byte{0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		shares, err := Shares(zipped(data))
		if err == nil {
			_ = SharesText(shares)
		}
	})
}

func TestSharesRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"not gzip": []byte("hello"), "nothing": nil, "cut": zipped(handmade())[:20],
		"wire type 5": zipped([]byte{0x0d, 0, 0, 0, 0}), "truncated body": zipped([]byte{0x12, 5, 0}), "endless number": zipped(bytes.Repeat([]byte{0xff}, 20)),
		"one value": zipped(message{}.body(2, message{}.number(2, 1))),
	} {
		if _, err := Shares(b); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}
