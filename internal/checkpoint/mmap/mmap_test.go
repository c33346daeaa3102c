package mmap

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenShowsTheFilesBytes(t *testing.T) {
	for _, n := range []int{1, 4095, 4096, 4097, 1 << 17} {
		want := bytes.Repeat([]byte("0123456789abc"), n)[:n]
		f, err := Open(write(t, want))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.Data, want) {
			t.Errorf("%d bytes: the mapping differs from the file", n)
		}
		for range 2 {
			if err := f.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if f.Data != nil {
			t.Error("Data is still set after Close")
		}
	}
}

// A section shows its own bytes, up to the end of the file; what is no section of the file is refused.
func TestOpenSection(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abc"), 40000)
	path := write(t, data)
	n := int64(len(data))
	for _, c := range [][2]int64{{0, 1}, {0, n}, {SectionAlign, 5}, {2 * SectionAlign, n - 2*SectionAlign}} {
		f, err := OpenSection(path, c[0], c[1])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.Data, data[c[0]:c[0]+c[1]]) {
			t.Errorf("section %v differs from the file", c)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range [][2]int64{{0, 0}, {0, -1}, {0, n + 1}, {1, 1}, {-SectionAlign, 1}, {4096, 4096}, {SectionAlign, n}, {1 << 40, 1}, {SectionAlign, math.MaxInt64}} {
		if f, err := OpenSection(path, c[0], c[1]); err == nil {
			t.Errorf("section %v was mapped, %d bytes", c, len(f.Data))
		}
	}
}

func TestOpenRefusesWhatCannotBeMapped(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(write(t, nil)); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty file: err = %v, want ErrEmpty", err)
	}
	if _, err := Open(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: err = %v, want os.ErrNotExist", err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a folder was mapped")
	}
	if _, err := Open(os.DevNull); err == nil {
		t.Error("a device was mapped")
	}
}

var sink byte // a read whose result is unused is optimised away

func TestGuardTurnsAFaultIntoAnError(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("not run here: a mapped file cannot be truncated on Windows")
	}
	path := write(t, make([]byte, 1<<16))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Guard(func() error { sink = f.Data[1<<15]; return nil }); err != nil {
		t.Fatalf("whole file: %v", err)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if err := Guard(func() error { sink = f.Data[1<<15]; return nil }); !errors.Is(err, ErrFault) {
		t.Errorf("a read past the end of a truncated file: err = %v, want ErrFault", err)
	}
}

func TestGuardPassesErrorsAndOtherPanics(t *testing.T) {
	want := errors.New("own")
	if err := Guard(func() error { return want }); err != want {
		t.Errorf("err = %v, want %v", err, want)
	}
	defer func() {
		if r := recover(); r != "bug" {
			t.Errorf("recovered %v, want the panic of read", r)
		}
	}()
	_ = Guard(func() error { panic("bug") })
}

// Released pages can be read again, whatever their place.
func TestReleaseKeepsTheBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	want := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, r := range [][2]int{{0, len(want)}, {0, 0}, {1, 2}, {100, 5000}, {4096, 8192}, {4000, 60000}} {
		Release(f.Data[r[0]:r[1]])
		if !bytes.Equal(f.Data, want) {
			t.Fatalf("bytes changed after Release of [%d, %d)", r[0], r[1])
		}
	}
}
