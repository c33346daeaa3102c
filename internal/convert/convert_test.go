package convert

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

func open(t *testing.T, path string) *checkpoint.Checkpoint {
	t.Helper()
	ck, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ck.Close() })
	return ck
}

func crew(t *testing.T, n int) *parallel.Crew {
	c := parallel.New(n)
	t.Cleanup(c.Close)
	return c
}

var w8c = Kinds{Type: quant.Spec{Layout: quant.W8C}}

// Same input, same bytes, whatever the number of workers; every byte is under a checksum; int8 is near the source.
func TestW8C(t *testing.T) {
	src := filepath.Join("testdata", "models", "2b-like-bf16-sharded")
	var files [][]byte
	for _, workers := range []int{1, 3} {
		out := filepath.Join(t.TempDir(), "out.gguf")
		o := Options{Kinds: w8c, Name: "tiny", SystemMode: "merge", Provenance: map[string]string{"base": "golden"}}
		if err := File(context.Background(), open(t, src), out, o, crew(t, workers)); err != nil {
			t.Fatal(err)
		}
		if err := checkpoint.Verify(context.Background(), out, nil); err != nil {
			t.Error(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
		ck := open(t, out)
		if ck.SystemMode != "merge" || !strings.Contains(strings.Join(slices.Collect(maps.Values(ck.Metadata)), " "), "golden") {
			t.Errorf("system mode %q, metadata %v", ck.SystemMode, ck.Metadata)
		}
		var worst float32
		want := run(t, src, false)
		for r, row := range run(t, out, false) {
			for i, v := range row {
				worst = max(worst, v-want[r][i], want[r][i]-v)
			}
		}
		if worst == 0 || worst > 12 { // logits reach 30 and these weights are noise: rounding them shows
			t.Errorf("largest difference of logits %v", worst)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("1 and 3 workers wrote different files")
	}
}
