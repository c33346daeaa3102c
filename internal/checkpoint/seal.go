package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
)

// Checksums of a file of our own. Together they cover every byte:
//
//   - headerKey: CRC-32C of all bytes before the tensor data, its own four taken as 0. It is the first entry of the metadata,
//     so that its place is fixed. Checked whenever the file is opened.
//   - sizeKey: bytes of tensor data, padding included; the file ends there. Checked whenever the file is opened.
//   - tableKey: CRC-32C of each chunk of tensor data, padding included. Checked by Verify.
//   - digestsKey: SHA-256 of each tensor, hexadecimal, in the order of the file. Checked by Verify.
const (
	headerKey  = "systemgemma.crc32c.header"
	sizeKey    = "systemgemma.data.bytes"
	tableKey   = "systemgemma.crc32c.chunks"
	digestsKey = "systemgemma.sha256"

	chunkSize = 1 << 20

	// headerAt is where the value of the first entry lies: after magic, version, two counts, the key and the value's type.
	headerAt = 4 + 4 + 8 + 8 + 8 + len(headerKey) + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal is what a file says about its own bytes.
type seal struct {
	data    []byte // all tensor data
	chunks  []int
	digests []string
	tensors []gguf.Tensor
}

// readSeal checks the metadata against its checksum and the rest against its size.
func readSeal(f *gguf.File, data []byte) (*seal, error) {
	if len(f.Metadata) == 0 || f.Metadata[0].Key != headerKey || f.Metadata[0].Type() != "u32" {
		return nil, fmt.Errorf("want %s first, found none; the file is damaged, get it again", headerKey)
	}
	m := &metadata{file: f}
	want := m.int(headerKey, required)
	size := m.int(sizeKey, required)
	s := &seal{
		data:    data[f.DataStart:],
		chunks:  read(m, tableKey, nil, gguf.Value.Ints),
		digests: read(m, digestsKey, nil, gguf.Value.Texts),
		tensors: f.Tensors,
	}
	if m.err != nil {
		return nil, m.err
	}
	if got := headerSum(data[:f.DataStart]); uint32(want) != got {
		return nil, fmt.Errorf("want CRC-32C %08x, found %08x; the file is damaged, get it again", want, got)
	}
	if size != len(s.data) {
		return nil, fmt.Errorf("want %d bytes of tensor data, found %d; the file is damaged, get it again", size, len(s.data))
	}
	if want := numChunks(size); len(s.chunks) != want || len(s.digests) != len(s.tensors) {
		return nil, fmt.Errorf("want checksums of %d chunks and %d tensors, found %d and %d", want, len(s.tensors), len(s.chunks), len(s.digests))
	}
	if !slices.IsSortedFunc(s.tensors, func(a, b gguf.Tensor) int { return a.Offset - b.Offset }) {
		return nil, errors.New("want tensors in the order of their data, found another")
	}
	return s, nil
}

// headerSum is the value of headerKey for a header that holds any value there.
func headerSum(header []byte) uint32 {
	sum := crc32.Update(0, castagnoli, header[:headerAt])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	return crc32.Update(sum, castagnoli, header[headerAt+4:])
}

// putHeaderSum stores it.
func putHeaderSum(header []byte) {
	binary.LittleEndian.PutUint32(header[headerAt:], headerSum(header))
}

func numChunks(size int) int { return (size + chunkSize - 1) / chunkSize }

// Verify opens a file of our own and compares every byte with its checksums, in one pass. The error names the damaged tensors,
// or the metadata. progress, if not nil, is told the bytes done and to do; ctx stops it between chunks of 1 MiB.
func Verify(ctx context.Context, path string, progress func(done, total int64)) error {
	c, err := Open(path)
	if err != nil {
		return err
	}
	return errors.Join(c.Verify(ctx, progress), c.Close())
}

// Verify does the same for an open checkpoint.
func (c *Checkpoint) Verify(ctx context.Context, progress func(done, total int64)) error {
	if c.seal == nil {
		return fmt.Errorf("%s: has no checksums: only files that this program converted can be verified", c.Path)
	}
	if progress == nil {
		progress = func(done, total int64) {}
	}
	if err := mmap.Guard(func() error { return c.seal.verify(ctx, progress) }); err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	return nil
}

func (s *seal) verify(ctx context.Context, progress func(done, total int64)) error {
	var damaged []error
	badChunk := -1
	digest := sha256.New()
	t := 0 // the first tensor that has not been seen to its end
	for i, want := range s.chunks {
		if err := ctx.Err(); err != nil {
			return err
		}
		begin, end := i*chunkSize, min((i+1)*chunkSize, len(s.data))
		if crc32.Checksum(s.data[begin:end], castagnoli) != uint32(want) {
			badChunk = i
		}
		for t < len(s.tensors) {
			at := s.tensors[t].Offset
			to := at + len(s.tensors[t].Data)
			if at, to := max(at, begin), min(to, end); at < to {
				digest.Write(s.data[at:to]) // a hash never returns an error
			}
			if to > end {
				break
			}
			if hex.EncodeToString(digest.Sum(nil)) != s.digests[t] {
				damaged = append(damaged, fmt.Errorf("tensor %s: SHA-256 differs; the file is damaged, get it again", s.tensors[t].Name))
			}
			digest.Reset()
			t++
		}
		progress(int64(end), int64(len(s.data)))
	}
	if len(damaged) == 0 && badChunk >= 0 {
		return fmt.Errorf("tensor data from byte %d: CRC-32C differs, though no tensor does; the file is damaged, get it again", badChunk*chunkSize)
	}
	return errors.Join(damaged...)
}
