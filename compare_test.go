package systemgemma_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

func TestCompare(t *testing.T) {
	sample.Skip(t)
	small := filepath.Join(t.TempDir(), "w4.gguf")
	if _, err := systemgemma.Convert(context.Background(), systemgemma.Mini, &systemgemma.ConvertOptions{Output: small, Types: []string{"w4"}}); err != nil {
		t.Fatal(err)
	}
	same, err := systemgemma.Compare(context.Background(), systemgemma.Mini, systemgemma.Mini, nil)
	if err != nil || same.All.KL != 0 || same.All.Top1 != 1 || same.All.PerplexityA != same.All.PerplexityB || same.Tensors[0].Error != 0 {
		t.Errorf("a model with itself: want no distance, found %+v, %v", same.All, err)
	}
	steps := 0
	q, err := systemgemma.Compare(context.Background(), systemgemma.Mini, small, &systemgemma.CompareOptions{Progress: func(done, total int) { steps++ }})
	if err != nil || !(q.All.KL > 0.001) || !(q.All.Top1 < 1) || q.BytesB >= q.BytesA || len(q.Tensors) != 43 || steps != 6+6+1 {
		t.Errorf("4 bits: want a distance and 13 steps, found %+v and %d, %v", q.All, steps, err)
	}
	if q.All.Positions != q.Plain.Positions+q.Turns.Positions || q.Tokens <= q.All.Positions {
		t.Errorf("positions: found %d, %d and %d of %d tokens", q.All.Positions, q.Plain.Positions, q.Turns.Positions, q.Tokens)
	}
	talk := &systemgemma.CompareOptions{Conversations: [][]systemgemma.Message{{{Role: "user", Content: "Hi"}, {Role: "assistant", Content: "Hello!"}}}}
	if q, err = systemgemma.Compare(context.Background(), systemgemma.Mini, small, talk); err != nil || q.Plain.Positions != 0 || q.Turns.Positions < 2 || q.Turns.Positions > 10 {
		t.Errorf("a conversation: want the answer's positions only, found %+v, %v", q, err)
	}
}

func TestCompareRefuses(t *testing.T) {
	for what, o := range map[string]*systemgemma.CompareOptions{
		"white space":      {Text: " \n"},
		"at most":          {Text: strings.Repeat("x", systemgemma.MaxCompareText+1)},
		"found both":       {Text: "x", Conversations: [][]systemgemma.Message{{}}},
		"assistant":        {Conversations: [][]systemgemma.Message{{{Role: "user", Content: "Hi"}}}},
		"preset":           {PresetB: "fast"},
		"threads: want 0 ": {Threads: -1},
	} {
		if _, err := systemgemma.Compare(context.Background(), systemgemma.Mini, systemgemma.Mini, o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error about %q, found %v", what, err)
		}
	}
	other := filepath.FromSlash("internal/checkpoint/testdata/none.gguf")
	if _, err := systemgemma.Compare(context.Background(), systemgemma.Mini, other, nil); err == nil {
		t.Error("a missing file: want an error, found none")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := systemgemma.Compare(ctx, systemgemma.Mini, systemgemma.Mini, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, found %v", context.Canceled, err)
	}
}

// A conversion measures its file, stores what it shows, and gives the same bytes again; without a report nothing is reserved.
func TestConvertReports(t *testing.T) {
	sample.Skip(t)
	dir := t.TempDir()
	convert := func(name string, o systemgemma.ConvertOptions) systemgemma.ConvertedFile {
		t.Helper()
		o.Output, o.Types = filepath.Join(dir, name), []string{"w4"}
		r, err := systemgemma.Convert(context.Background(), systemgemma.Mini, &o)
		if err != nil {
			t.Fatal(err)
		}
		if (r.ReportMemory > 0) == o.NoReport {
			t.Errorf("%s: found %d bytes for the report", name, r.ReportMemory)
		}
		return r.Files[0]
	}
	a := convert("a.gguf", systemgemma.ConvertOptions{Threads: 1})
	convert("b.gguf", systemgemma.ConvertOptions{Threads: 2})
	if !bytes.Equal(read(t, filepath.Join(dir, "a.gguf")), read(t, filepath.Join(dir, "b.gguf"))) {
		t.Error("want the same bytes of the same conversion, found others")
	}
	if err := systemgemma.Verify(context.Background(), a.Path, nil); err != nil {
		t.Error(err)
	}
	i, err := systemgemma.Describe(a.Path, nil)
	if err != nil || i.Quality == nil || a.Quality == nil || !reflect.DeepEqual(i.Quality, a.Quality) {
		t.Errorf("want the stored report to be %+v, found %+v, %v", a.Quality, i.Quality, err)
	}
	for key, value := range i.Metadata {
		if len(value) > 4000 {
			t.Errorf("metadata %s: %d bytes; the report is shown elsewhere", key, len(value))
		}
	}
	// The file as it lies there is what was measured.
	q, err := systemgemma.Compare(context.Background(), systemgemma.Mini, a.Path, &systemgemma.CompareOptions{PresetA: systemgemma.PresetExact})
	if err != nil || math.Abs(q.All.KL/a.Quality.All.KL-1) > 1e-5 || len(q.Tensors) != len(a.Quality.Tensors) {
		t.Errorf("want %+v again, found %+v, %v", a.Quality.All, q.All, err)
	}
	bare := convert("c.gguf", systemgemma.ConvertOptions{NoReport: true})
	if i, err := systemgemma.Describe(bare.Path, nil); err != nil || i.Quality != nil || bare.Quality != nil || bare.Bytes >= a.Bytes {
		t.Errorf("without a report: found %+v, %v", i.Quality, err)
	}
	if other := convert("d.gguf", systemgemma.ConvertOptions{ReportText: "The capital of France is Paris."}); other.Quality.All == a.Quality.All {
		t.Error("another text: want other numbers, found the same")
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is cancelled while it is measured is not there, and is measured when it goes on.
func TestConvertReportIsCancelled(t *testing.T) {
	sample.Skip(t)
	path := filepath.Join(t.TempDir(), "m.gguf")
	ctx, cancel := context.WithCancel(context.Background())
	o := &systemgemma.ConvertOptions{Output: path, ReportProgress: func(done, total int) { cancel() }}
	if _, err := systemgemma.Convert(ctx, systemgemma.Mini, o); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, found %v", context.Canceled, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("want no file, found %v", err)
	}
	o.ReportProgress = nil
	r, err := systemgemma.Convert(context.Background(), systemgemma.Mini, o)
	if err != nil || r.Files[0].Quality == nil || r.Resumed != r.SourceBytes {
		t.Errorf("want the work to go on, found %+v, %v", r, err)
	}
}
