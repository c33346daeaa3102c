package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/mini"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

func openMini(t testing.TB) *checkpoint.Checkpoint {
	t.Helper()
	ck, err := checkpoint.OpenBytes("mini", mini.File())
	if err != nil {
		t.Fatal(err)
	}
	return ck
}

// What can't be is refused before anything is made, and says what is wrong.
func TestRefusesBeforeWork(t *testing.T) {
	src := filepath.Join("testdata", "models", "2b-like-bf16-sharded")
	dir := t.TempDir()
	exists := filepath.Join(dir, "exists.gguf")
	if err := os.WriteFile(exists, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(dir, "linked.gguf")
	if err := os.Symlink(exists, linked); err != nil {
		t.Fatal(err)
	}
	ck := open(t, src)
	plan, err := Own(ck, &Options{Kinds: w8c})
	if err != nil {
		t.Fatal(err)
	}
	before := names(t, dir)
	for want, outputs := range map[string][]Output{
		"exists already":      {{Path: exists, Format: plan}},
		"linked.gguf: exists": {{Path: linked, Format: plan}},
		"found a folder":      {{Path: dir, Format: plan, Overwrite: true}},
		"found it twice":      {{Path: filepath.Join(dir, "a"), Format: plan}, {Path: filepath.Join(dir, ".", "a"), Format: plan}},
		"no such file":        {{Path: filepath.Join(dir, "none", "a"), Format: plan}},
		"not enough room":     {{Path: filepath.Join(dir, "huge"), Format: huge{plan}}},
		"a limit of 5000":     {{Path: filepath.Join(dir, "a"), Format: plan}},
	} {
		j := &Job{Source: ck, Outputs: outputs}
		if want == "a limit of 5000" {
			j.Memory = 5000
		}
		if err := j.Run(context.Background(), crew(t, 1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
		if got := names(t, dir); !slices.Equal(got, before) {
			t.Fatalf("%s left %v", want, got)
		}
	}
}

// huge is a format for which no disk has room.
type huge struct{ Format }

func (huge) Size() int64 { return math.MaxInt64 / 2 }

// The source is not replaced by what is made of it, whatever it is called.
func TestSourceIsNotTheOutput(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src.gguf")
	if err := os.WriteFile(src, mini.File(), 0o666); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.gguf")
	if err := os.Link(src, other); err != nil {
		t.Skip(err)
	}
	for _, out := range []string{src, other} {
		err := File(context.Background(), open(t, src), out, Options{Kinds: w8c}, crew(t, 1))
		if err == nil || !strings.Contains(err.Error(), "is the source itself") {
			t.Errorf("%s: %v", out, err)
		}
	}
}

// Options that contradict each other, or do nothing, are refused with a reason.
func TestKinds(t *testing.T) {
	re, ck := regexp.MustCompile, openMini(t)
	spec := func(name string) *quant.Spec { s := must(name); return &s }
	for want, k := range map[string]Kinds{
		"found none of that name":              {Type: must("w4"), Rules: []Rule{{re("nothing"), must("bf16")}}},
		"has no effect":                        {Type: must("w4"), Rules: []Rule{{re(`blk\.1\.ffn_up`), must("bf16")}, {re("ffn"), must("nf4")}}},
		"want one kind":                        {Type: must("w4"), Embedding: spec("bf16"), Rules: []Rule{{re("token_embd"), must("nf4")}}},
		"128 do not divide 192 columns":        {Type: must("w8a8-g128")},
		"columns; sizes that do: [16 32 64]":   {Type: must("w8a8-g256")},
		"256 do not divide 192 columns; sizes": {Type: must("w4"), Rules: []Rule{{re("attn"), must("w4-g256")}}},
	} {
		if _, err := Own(ck, &Options{Kinds: k}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", k, err, want)
		}
	}
	plan, err := Own(ck, &Options{Kinds: Kinds{Type: must("w4"), Head: spec("w8a8")}})
	if err != nil || !plan.Tied {
		t.Errorf("a head of the embedding's kind: tied %v, %v", plan.Tied, err)
	}
}

// A tied head of another kind is a matrix of its own with the embedding's weights.
func TestHeadOfAnotherKind(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.gguf")
	bf16 := must("bf16")
	if err := File(context.Background(), openMini(t), out, Options{Kinds: Kinds{Type: must("w8a8"), Head: &bf16}}, crew(t, 2)); err != nil {
		t.Fatal(err)
	}
	ck := open(t, out)
	e, h := ck.Matrices[embedding], ck.Matrices[head]
	if ck.Config.TieEmbeddings || e.Layout != quant.W8C || h.Layout != quant.BF16 {
		t.Fatalf("tied %v, embedding %v, head %v", ck.Config.TieEmbeddings, e.Layout, h.Layout)
	}
	if got, want := run(t, out, true), run(t, out, false); len(got) != len(want) {
		t.Error("it does not run")
	}
	x, y := make([]float32, e.Cols), make([]float32, e.Cols)
	for r := range e.Rows {
		e.Row(x, r)
		h.Row(y, r)
		for k := range x {
			if math.Abs(float64(x[k]-y[k])) > math.Abs(float64(x[k]))/200 {
				t.Fatalf("row %d column %d: %v in the embedding, %v in the head", r, k, x[k], y[k])
			}
		}
	}
}

// planted is a float32 model with one weight replaced.
func planted(t *testing.T, row, col int, v float32) *checkpoint.Checkpoint {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "models", "one-layer-f32"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "model.safetensors")
	data := read(t, path)
	f, err := safetensors.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	x, ok := f.Tensor("model.layers.0.mlp.up_proj.weight")
	if !ok {
		t.Fatal("no such tensor")
	}
	binary.LittleEndian.PutUint32(x.Data[4*(row*x.Shape[1]+col):], math.Float32bits(v)) // aliases data
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

// A weight that is no finite number is named, the first one whatever the number of workers, and let in only when asked for.
func TestNotFinite(t *testing.T) {
	const name = "blk.0.ffn_up.weight"
	inf := float32(math.Inf(-1))
	for _, v := range []float32{float32(math.NaN()), inf} {
		ck := planted(t, 21, 3, v)
		out := filepath.Join(t.TempDir(), "out.gguf")
		for workers := 1; workers < 4; workers++ {
			err := File(context.Background(), ck, out, Options{Kinds: w8c}, crew(t, workers))
			if !errors.Is(err, ErrNotFinite) || !strings.Contains(err.Error(), name+": row 21, column 3") {
				t.Errorf("err = %v", err)
			}
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("a file was made")
		}
		if err := File(context.Background(), ck, out, Options{Kinds: w8c, AllowNonFinite: true}, crew(t, 2)); err != nil {
			t.Fatal(err)
		}
		m := open(t, out).Matrices[name]
		row := make([]float32, m.Cols)
		m.Row(row, 21)
		want := float32(0)
		if v == inf {
			want = -largest(row)
		}
		if row[3] != want || want == 0 && v == inf {
			t.Errorf("%v became %v, want %v", v, row[3], want)
		}
		if err := File(context.Background(), ck, out, Options{Kinds: Kinds{Type: must("bf16")}, AllowNonFinite: true}, crew(t, 2)); err != nil {
			t.Fatal(err)
		}
		m = open(t, out).Matrices[name]
		if m.Row(row, 21); row[3] == row[3] && row[3] != v {
			t.Errorf("%v became %v as bf16", v, row[3])
		}
	}
	err := File(context.Background(), planted(t, 21, 3, 1e9), filepath.Join(t.TempDir(), "out.gguf"), Options{Kinds: Kinds{Type: must("f16")}}, crew(t, 2))
	if err == nil || !strings.Contains(err.Error(), name+": row 21: want weights below 65520") {
		t.Errorf("1e9 as f16: %v", err)
	}
}

// A disk that fails in the middle gives its error; what is done is kept, and goes on when there is room.
func TestWriteFails(t *testing.T) {
	sample.Skip(t)
	for what, want := range map[string]string{"piece": "no memory", "write": "negative offset"} {
		out := filepath.Join(t.TempDir(), "out.gguf")
		c := crew(t, 2)
		job := miniJob(c, out, nil)
		f := &failing{Format: job.Outputs[0].Format, what: what}
		f.left.Store(60)
		job.Outputs[0].Format = f
		if err := job.Run(context.Background(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%s: err = %v, want %q", what, err, want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%s: a file was made", what)
		}
		var first Progress
		job = miniJob(c, out, func(p Progress) {
			if first.Total == 0 {
				first = p
			}
		})
		if err := job.Run(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		if first.Resumed == 0 || !bytes.Equal(read(t, out), whole(t)) {
			t.Errorf("%s: nothing was kept, or other bytes: %+v", what, first)
		}
	}
}

// failing has no memory, or no places that can be written to, from some time on.
type failing struct {
	Format
	what string
	left atomic.Int32 // pieces are asked for by one goroutine, places by two
}

func (f *failing) Piece(p Parameter, first, rows int) (Piece, error) {
	if left := f.left.Add(-1); left < 0 && f.what == "piece" {
		return nil, errors.New("no memory")
	}
	return f.Format.Piece(p, first, rows)
}

func (f *failing) Places(p Parameter, first, rows int) []checkpoint.Extent {
	list := slices.Clone(f.Format.Places(p, first, rows))
	for i := range list {
		if f.left.Load() < 0 && f.what == "write" {
			list[i].Offset = -1
		}
	}
	return list
}

// Several files of one pass equal those of passes of their own.
func TestSeveralOutputs(t *testing.T) {
	sample.Skip(t)
	dir, c := t.TempDir(), crew(t, 3)
	ck := open(t, filepath.Join("testdata", "gguf", "q8_0.gguf"))
	job := &Job{Source: ck}
	var kinds []string
	for _, name := range types {
		if plan, err := Own(ck, &Options{Kinds: Kinds{Type: must(name)}}); err == nil {
			kinds = append(kinds, name)
			job.Outputs = append(job.Outputs, Output{Path: filepath.Join(dir, name), Format: plan})
		}
	}
	if len(kinds) < 8 {
		t.Fatalf("only %v", kinds)
	}
	if err := job.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	for _, name := range kinds {
		one := filepath.Join(dir, "one")
		if err := File(context.Background(), ck, one, Options{Kinds: Kinds{Type: must(name)}}, c); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(read(t, one), read(t, filepath.Join(dir, name))) {
			t.Errorf("%s differs", name)
		}
	}
}

// What is converted to the kind that it has is copied, also from one file of our own to another.
func TestSameKindIsCopied(t *testing.T) {
	dir, c := t.TempDir(), crew(t, 3)
	for _, name := range []string{"w8a8", "nf4", "q4_1", "f16", "w8a8-g64"} {
		k := Kinds{Type: must(name), Rules: []Rule{{regexp.MustCompile(`blk\..*ffn_down`), must("w4")}}}
		first, second := filepath.Join(dir, name), filepath.Join(dir, name+".again")
		if err := File(context.Background(), open(t, filepath.Join("testdata", "gguf", "q8_0.gguf")), first, Options{Kinds: k}, c); err != nil {
			t.Fatal(err)
		}
		if err := File(context.Background(), open(t, first), second, Options{Kinds: k}, c); err != nil {
			t.Fatal(err)
		}
		a, b := open(t, first), open(t, second)
		for m, x := range a.Matrices {
			y := b.Matrices[m]
			if !slices.Equal(x.Data, y.Data) || !slices.Equal(x.Scale, y.Scale) || !slices.Equal(x.RowSum, y.RowSum) || !slices.Equal(x.Scales, y.Scales) || !slices.Equal(x.Mins, y.Mins) {
				t.Errorf("%s: %s was rounded again", name, m)
			}
		}
	}
}
