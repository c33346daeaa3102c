package systemgemma

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The forecast is what an opened model holds.
func TestForecastRunIsWhatOpenTakes(t *testing.T) {
	if sample() {
		t.Skip("left to the native leg: sizes do not depend on the CPU")
	}
	dir := t.TempDir()
	names := []string{Mini}
	for _, c := range []struct{ to, typ string }{{"gguf", "q8_0"}, {"gguf", "q4_1"}, {"gguf", "f16"}, {"safetensors", "bf16"}, {"", "w4"}, {"", "w8a8-g64"}, {"", "nf4"}, {"", "bf16"}} {
		out := filepath.Join(dir, c.to+"-"+c.typ+".gguf")
		if c.to == "safetensors" {
			out = filepath.Join(dir, "folder")
		}
		if _, err := Convert(context.Background(), Mini, &ConvertOptions{Output: out, To: c.to, Types: []string{c.typ}, NoReport: true}); err != nil {
			t.Fatal(err)
		}
		names = append(names, out)
	}
	for _, name := range names {
		for _, o := range []*Options{nil, {KVType: "int8", ContextLength: 300}, {KVType: "f32"}, {Preset: PresetMemoryExtreme}, {Preset: PresetAuto}} {
			f, err := ForecastRun(name, o)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Open(name, o)
			if err != nil {
				t.Fatal(err)
			}
			weights, kv := m.BenchMemory(m.ContextLength())
			if f.WeightBytes != weights || f.KVBytes != kv || f.Context != m.ContextLength() {
				t.Errorf("%s: %d bytes of weights, %d of keys and values, %d tokens; want %d, %d, %d", name, f.WeightBytes, f.KVBytes, f.Context, weights, kv, m.ContextLength())
			}
			if arranged := m.weights.Bytes(); f.WeightBytes-f.MappedBytes > arranged+4096*200 || f.WeightBytes-f.MappedBytes < arranged-4096*200 {
				t.Errorf("%s: %d bytes arranged, want %d", name, f.WeightBytes-f.MappedBytes, arranged)
			}
			if f.TokenBytes != weights { // the embedding is the head
				t.Errorf("%s: %d bytes for a token, want %d", name, f.TokenBytes, weights)
			}
			if s := f.TokensPerSecond(1); s <= 0 || s != 1e9/float64(weights) {
				t.Errorf("%s: %g tokens/s", name, s)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// What would fit is named, the least change first, and each of it fits.
func TestForecastRunWouldFit(t *testing.T) {
	f, err := ForecastRun(Mini, &Options{KVType: "f32"})
	if err != nil {
		t.Fatal(err)
	}
	begins := func(ways []string, want ...string) {
		t.Helper()
		for i, w := range want {
			if i >= len(ways) || !strings.HasPrefix(ways[i], w) {
				t.Errorf("%q, want %q", ways, want)
				return
			}
		}
	}
	f.Available = 0
	if !f.Fits() || f.WouldFit() != nil {
		t.Error("what is not known does not fit")
	}
	f.Available = f.Bytes()
	if !f.Fits() || f.WouldFit() != nil {
		t.Error("what fits exactly does not fit")
	}
	f.Available--
	if f.Fits() {
		t.Error("one byte more than there is fits")
	}
	begins(f.WouldFit(), "KV type int8", "a context of 1792 tokens")
	f.Available = f.WeightBytes + f.OtherBytes + f.KVBytes/6
	begins(f.WouldFit(), "KV type int8 and a context of")
	f.Available = f.WeightBytes + f.OtherBytes + 1000
	if ways := f.WouldFit(); slices.ContainsFunc(ways, func(w string) bool { return strings.Contains(w, "context") }) {
		t.Errorf("%q", ways)
	}
	f.Available = 1
	if ways := f.WouldFit(); len(ways) != 0 {
		t.Errorf("%q fits into a byte", ways)
	}
	big, err := ForecastRun(filepath.Join("testdata", "none"), nil)
	if err == nil {
		t.Errorf("a model that is not there takes %+v", big)
	}
	if _, err := ForecastRun(Mini, &Options{KVType: "f8"}); err == nil {
		t.Error("KV type f8 was accepted")
	}
}
