//go:build unix

package parallel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var sink [3]byte // per worker; keeps the reads below from being optimised away

// A file truncated under its mapping, with workers running, is an error and not a crash; the crew goes on.
func TestTruncatedMappingIsAnError(t *testing.T) {
	const size = 1 << 20
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(m) }()
	c := New(3)
	defer c.Close()
	body := Body(func(worker, lo, hi int) {
		for i := lo; i < hi; i += 512 {
			sink[worker] += m[i]
		}
	})
	if err := c.Run(size, 4096, body); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		var fault *FaultError
		if err := c.Run(size, 4096, body); !errors.As(err, &fault) {
			t.Fatalf("Run over a truncated mapping: %v, want a FaultError", err)
		}
	}
	if err := c.Run(100, 1, func(_, _, _ int) {}); err != nil {
		t.Fatal(err)
	}
}

// An idle crew uses no CPU: the time the process used while idle is a small part of the wall clock.
func TestIdleCrewUsesNoCPU(t *testing.T) {
	c := New(4)
	defer c.Close()
	_ = c.Run(100, 1, func(_, _, _ int) {})
	time.Sleep(5 * time.Millisecond) // let the spin run out
	cpu := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := cpu()
	time.Sleep(200 * time.Millisecond)
	if used := cpu() - before; used > 100*time.Millisecond {
		t.Errorf("idle for 200 ms used %v of CPU", used)
	}
}
