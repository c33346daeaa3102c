package offheap

import (
	"testing"
	"unsafe"
)

func TestAllocIsZeroedAlignedAndWritable(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 5 << 20} {
		b, err := Alloc(size)
		if err != nil {
			t.Fatal(err)
		}
		bytes := b.Bytes()
		if len(bytes) != size {
			t.Fatalf("Alloc(%d): %d bytes", size, len(bytes))
		}
		for i, v := range bytes {
			if v != 0 {
				t.Fatalf("Alloc(%d): byte %d = %d", size, i, v)
			}
			bytes[i] = 1
		}
		if p := uintptr(unsafe.Pointer(unsafe.SliceData(bytes))); size > 0 && p%64 != 0 {
			t.Errorf("Alloc(%d) at %#x: want 64-byte alignment", size, p)
		}
		for range 2 { // freeing twice is harmless
			if err := b.Free(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAllocRefusesWhatIsNotThere(t *testing.T) {
	if b, err := Alloc(1 << 62); err == nil {
		t.Error("Alloc(2^62): want an error")
		_ = b.Free()
	}
}

func TestCast(t *testing.T) {
	b := make([]uint32, 2)
	bytes := Cast[byte](unsafe.Slice((*byte)(unsafe.Pointer(&b[0])), 8))
	bytes[4] = 7
	if got := Cast[int32](bytes); len(got) != 2 || got[1] != 7 {
		t.Errorf("Cast = %v, want [0 7]", got)
	}
	if got := Cast[float32](bytes[:3]); got != nil {
		t.Errorf("Cast of 3 bytes = %v, want nil", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("Cast of misaligned bytes: want a panic")
		}
	}()
	Cast[float32](bytes[1:])
}
