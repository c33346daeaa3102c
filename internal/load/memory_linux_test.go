package load

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
)

// writeForeign writes a GGUF file of a tiny model with a large embedding, all weights zero, and with an equal head. It is sparse.
func writeForeign(t *testing.T, typ gguf.Type, vocab, hidden int) string {
	t.Helper()
	c, err := SyntheticConfig("tiny")
	if err != nil {
		t.Fatal(err)
	}
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumLayers = vocab, hidden, 256, 1
	entries := []gguf.Entry{
		{Key: "general.architecture", Value: "gemma2"}, {Key: "gemma2.embedding_length", Value: uint32(hidden)},
		{Key: "gemma2.block_count", Value: uint32(1)}, {Key: "gemma2.feed_forward_length", Value: uint32(256)},
		{Key: "gemma2.attention.head_count", Value: uint32(c.NumHeads)}, {Key: "gemma2.attention.head_count_kv", Value: uint32(c.NumKVHeads)},
		{Key: "gemma2.attention.key_length", Value: uint32(c.HeadDim)},
	}
	var tensors []gguf.Source
	for _, p := range append(Parts(&c), Part{"output.weight", vocab, hidden}) {
		shape, stored := []int{p.Rows, p.Cols}, typ
		if p.Cols == 0 {
			shape, stored = []int{p.Rows}, gguf.F32
		}
		size, err := stored.RowSize(shape[len(shape)-1])
		if err != nil {
			t.Fatal(err)
		}
		if len(shape) == 2 {
			size *= p.Rows
		}
		tensors = append(tensors, gguf.Source{Name: p.Name, Type: stored, Shape: shape, Write: func(w io.Writer) error {
			_, err := w.Write(make([]byte, size))
			return err
		}})
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := &sparse{file: f}
	if err := gguf.Write(w, entries, tensors); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(w.size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// sparse leaves out zeros.
type sparse struct {
	file *os.File
	size int64
}

func (s *sparse) Write(b []byte) (int, error) {
	if len(bytes.Trim(b, "\x00")) > 0 {
		if _, err := s.file.WriteAt(b, s.size); err != nil {
			return 0, err
		}
	}
	s.size += int64(len(b))
	return len(b), nil
}

// fileMemory is how many bytes of mapped files are in this process' memory.
func fileMemory(t *testing.T) (kb int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, ok := strings.Cut(string(status), "RssFile:")
	if !ok {
		t.Skip("not run here: this system does not tell mapped files apart")
	}
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// A source never stays in memory beside what is made of it: a few pieces at a time are there, of blocks and of floats, and when a
// head is compared with the embedding.
func TestSourceIsReleased(t *testing.T) {
	for _, typ := range []gguf.Type{gguf.Q8_0, gguf.Q6_K, gguf.BF16} {
		path := writeForeign(t, typ, 40000, 1024)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		crew := parallel.New(2)
		before, done := fileMemory(t), make(chan struct{})
		var peak atomic.Int64
		go func() {
			defer close(done)
			for peak.Load() >= 0 {
				if n := fileMemory(t); !raise(&peak, n) {
					return
				}
				time.Sleep(200 * time.Microsecond)
			}
		}()
		ck, err := checkpoint.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Weights(ck, crew)
		if err != nil {
			t.Fatal(err)
		}
		after, most := fileMemory(t), peak.Swap(-1)
		<-done
		if w.Head != w.Embed {
			t.Errorf("%v: the head is not the embedding", typ)
		}
		const limit = 5 * pieceBytes // two tensors are compared; a piece grows while one is released, and the system reads around
		if most-before > limit || after-before > pieceBytes {
			t.Errorf("%v: of a file of %d bytes, %d were in memory at most and %d in the end, want at most %d and %d",
				typ, info.Size(), most-before, after-before, limit, pieceBytes)
		}
		w.Close()
		crew.Close()
		if err := ck.Close(); err != nil {
			t.Error(err)
		}
	}
}

// raise lets v be the largest number seen, until it is negative.
func raise(v *atomic.Int64, n int64) bool {
	for {
		old := v.Load()
		if old < 0 {
			return false
		}
		if n <= old || v.CompareAndSwap(old, n) {
			return true
		}
	}
}
