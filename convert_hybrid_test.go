package systemgemma_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// A share of the matrices gets groups, whatever the number of threads, and the result is nearer to the source.
func TestHybrid(t *testing.T) {
	sample.Skip(t)
	source := filepath.Join("tools", "mini", "model")
	made := func(share float64, threads int) (string, systemgemma.ConvertedFile) {
		out := filepath.Join(t.TempDir(), "x.gguf")
		r, err := systemgemma.Convert(context.Background(), source, &systemgemma.ConvertOptions{Output: out, Hybrid: share, Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		return out, r.Files[0]
	}
	count := func(f systemgemma.ConvertedFile) (fine, all int) {
		for _, p := range f.Parts {
			if p.Part == "attention" || p.Part == "feed-forward" {
				all += p.Tensors
				if strings.HasPrefix(p.Type, "w8a8-g") {
					fine += p.Tensors
				}
			}
		}
		return fine, all
	}
	error2 := func(f systemgemma.ConvertedFile) (sum float64) {
		for _, x := range f.Quality.Tensors {
			sum += x.Error * x.Error
		}
		return sum
	}
	_, none := made(0, 2)
	path, half := made(0.5, 1)
	again, _ := made(0.5, 2)
	if fine, all := count(half); fine != all/2 || all != 42 {
		t.Errorf("%d of %d matrices in groups, want half", fine, all)
	}
	if error2(half) >= error2(none) {
		t.Errorf("squared errors %v, without groups %v", error2(half), error2(none))
	}
	if !bytes.Equal(read(t, path), read(t, again)) {
		t.Error("the number of threads changes the file")
	}
	for want, o := range map[string]systemgemma.ConvertOptions{"share from 0 to 1": {Hybrid: 2}, "want type w8a8": {Hybrid: 0.5, Types: []string{"w4"}}, "want format systemgemma": {Hybrid: 0.5, To: "gguf"}} {
		o.Output = filepath.Join(t.TempDir(), "x.gguf")
		if _, err := systemgemma.Convert(context.Background(), source, &o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
