package systemgemma_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// The forecast from config.json alone is what a plan that sees the weights says.
func TestForecastIsThePlan(t *testing.T) {
	const folder = "internal/app/cli/testdata/models/one-layer-f32"
	config, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"w8a8", "w8a8-g16", "w8a8-rotated", "llm-int8", "w4", "q8_0", "bf16", "f32"} {
		plan, err := systemgemma.PlanConvert(context.Background(), folder, &systemgemma.ConvertOptions{
			Types: []string{typ}, Output: filepath.Join(t.TempDir(), "m.gguf"),
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := systemgemma.ForecastConvert(config, typ)
		if err != nil {
			t.Fatal(err)
		}
		want := plan.Files[0]
		if got.WeightBytes != want.WeightBytes || got.KVBytes != want.KVBytes || got.Context != want.Context {
			t.Errorf("%s: forecast %+v, plan has weights %d, keys and values %d, context %d", typ, got, want.WeightBytes, want.KVBytes, want.Context)
		}
	}
	for _, bad := range []struct{ config, typ string }{{"{}", ""}, {"[", ""}, {string(config), "w5"}, {string(config), "nf4"}, {string(config), "w8a8-g48"}, {string(config), "w8a8-g512"}} {
		if f, err := systemgemma.ForecastConvert([]byte(bad.config), bad.typ); err == nil {
			t.Errorf("%.20q as %q: forecast %+v, want an error", bad.config, bad.typ, f)
		}
	}
}
