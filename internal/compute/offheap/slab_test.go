package offheap

import (
	"math/rand/v2"
	"testing"
	"unsafe"
)

// Blocks of a slab keep what was written to them while others come and go, and do not overlap.
func TestSlab(t *testing.T) {
	const size = 3*page - 64 // so that blocks share pages
	s, r := NewSlab(size), rand.New(rand.NewPCG(1, 2))
	blocks := map[byte]*Block{}
	check := func(id byte) {
		t.Helper()
		for i, v := range blocks[id].Bytes() {
			if v != id {
				t.Fatalf("block %d, byte %d = %d", id, i, v)
			}
		}
	}
	free := func(id byte) {
		t.Helper()
		check(id)
		for range 2 { // freeing twice is harmless
			if err := blocks[id].Free(); err != nil {
				t.Fatal(err)
			}
		}
		delete(blocks, id)
	}
	for range 2000 {
		id := byte(1 + r.IntN(3*chunkBlocks))
		if blocks[id] != nil {
			free(id)
			continue
		}
		b, err := s.Alloc()
		if err != nil {
			t.Fatal(err)
		}
		bytes := b.Bytes()
		if len(bytes) != size || cap(bytes) != size {
			t.Fatalf("%d bytes of %d, want %d", len(bytes), cap(bytes), size)
		}
		if p := uintptr(unsafe.Pointer(unsafe.SliceData(bytes))); p%64 != 0 {
			t.Fatalf("a block at %#x: want 64-byte alignment", p)
		}
		for i := range bytes {
			bytes[i] = id
		}
		blocks[id] = b
		if want := (len(blocks) + chunkBlocks - 1) / chunkBlocks; len(s.chunks) < want || len(s.chunks) > len(blocks) {
			t.Fatalf("%d blocks in %d mappings", len(blocks), len(s.chunks))
		}
	}
	for id := range blocks {
		free(id)
	}
	if len(s.chunks) > 0 {
		t.Errorf("%d mappings left without a block", len(s.chunks))
	}
}

func TestSlabRefusesWhatIsNotThere(t *testing.T) {
	if b, err := NewSlab(1 << 58).Alloc(); err == nil {
		t.Error("a slab for blocks of 2^58 bytes: want an error")
		_ = b.Free()
	}
}
