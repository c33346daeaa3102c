package blocks

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// Every type gives ggml's own values, bit for bit. testdata has the blocks of every type and, instead of the values, their
// SHA-256 (sha256sum of the unpacked .f32.gz).
func TestGoldenBlocks(t *testing.T) {
	dir := filepath.Join(golden.Dir(t, "gguf"), "blocks")
	n := 0
	for _, number := range Numbers() {
		f, _ := Of(number)
		name := strings.ToLower(f.Name)
		data := golden.Read(t, filepath.Join(dir, name+".blocks"))
		if len(data) == 0 || len(data)%f.Bytes != 0 {
			t.Fatalf("%s: %d bytes, want blocks of %d", name, len(data), f.Bytes)
		}
		values := make([]float32, len(data)/f.Bytes*f.Elements)
		f.Decode(values, data)
		n += len(values)
		path := filepath.Join(dir, name+".f32.gz")
		if _, err := os.Stat(path); os.IsNotExist(err) {
			checkSum(t, dir, name, values)
			continue
		}
		want := golden.Read(t, path)
		if len(want) != 4*len(values) {
			t.Fatalf("%s: %d values, want %d", name, len(values), len(want)/4)
		}
		for i, v := range values {
			if w := binary.LittleEndian.Uint32(want[4*i:]); math.Float32bits(v) != w {
				t.Fatalf("%s: value %d of block %d = %v, want %v", name, i%f.Elements, i/f.Elements, v, math.Float32frombits(w))
			}
		}
	}
	golden.Count(t, n)
}

func checkSum(t *testing.T, dir, name string, values []float32) {
	t.Helper()
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
	}
	sum := sha256.Sum256(data)
	for line := range strings.Lines(string(golden.Read(t, filepath.Join(dir, "values.sha256")))) {
		if field := strings.Fields(line); len(field) == 2 && field[1] == name {
			if field[0] != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: the values differ from ggml's", name)
			}
			return
		}
	}
	t.Errorf("%s: found neither values nor their checksum", name)
}
