//go:build amd64 || arm64

package poordisk

import (
	"fmt"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offsets in the kernel's struct seccomp_data; of arguments, the lower halves.
const (
	dataNumber = 0
	dataArch   = 4
)

func dataArgument(i uint32) uint32 { return 16 + 8*i }

var architecture = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]

// filter is a program that a call passes through: see seccomp(2).
type filter []unix.SockFilter

func (f *filter) add(code uint16, yes, no uint8, k uint32) {
	*f = append(*f, unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k})
}

// refuse answers calls of a number with an error.
func (f *filter) refuse(number int, e unix.Errno) {
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 1, uint32(number))
	f.add(unix.BPF_RET|unix.BPF_K, 0, 0, unix.SECCOMP_RET_ERRNO|uint32(e))
}

// refuseWhere answers those of which argument i passes a test with k: unix.BPF_JSET (a bit of k is set) or unix.BPF_JGE (at least k).
func (f *filter) refuseWhere(number int, i uint32, test uint16, k uint32, e unix.Errno) {
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 0, 4, uint32(number))
	f.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, dataArgument(i))
	f.add(unix.BPF_JMP|test|unix.BPF_K, 0, 1, k)
	f.add(unix.BPF_RET|unix.BPF_K, 0, 0, unix.SECCOMP_RET_ERRNO|uint32(e))
	f.add(unix.BPF_RET|unix.BPF_K, 0, 0, unix.SECCOMP_RET_ALLOW)
}

func (k *kinds) enter() error {
	if k.short >= 0 {
		signal.Ignore(syscall.SIGXFSZ) // which would end the process before it sees EFBIG
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(k.short), Max: uint64(k.short)}); err != nil {
			return fmt.Errorf("poor disk: setrlimit: %w", err)
		}
	}
	var f filter
	f.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, dataArch)
	f.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, 1, 0, architecture)
	f.add(unix.BPF_RET|unix.BPF_K, 0, 0, unix.SECCOMP_RET_ALLOW)
	f.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, dataNumber)
	none := len(f)
	if k.full >= 0 {
		f.refuseWhere(unix.SYS_PWRITE64, 3, unix.BPF_JGE, uint32(k.full), unix.ENOSPC)
	}
	if k.readonly {
		f.refuseWhere(unix.SYS_OPENAT, 2, unix.BPF_JSET, unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC, unix.EROFS)
		for _, n := range []int{
			unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_SYMLINKAT, unix.SYS_LINKAT, unix.SYS_FCHMODAT, unix.SYS_UTIMENSAT,
			unix.SYS_TRUNCATE,
		} {
			f.refuse(n, unix.EROFS)
		}
	}
	if k.nolinks {
		f.refuse(unix.SYS_SYMLINKAT, unix.EPERM)
		f.refuse(unix.SYS_LINKAT, unix.EPERM)
	}
	if k.nolocks {
		f.refuse(unix.SYS_FLOCK, unix.ENOLCK)
	}
	if len(f) == none {
		return nil
	}
	f.add(unix.BPF_RET|unix.BPF_K, 0, 0, unix.SECCOMP_RET_ALLOW)
	return f.install()
}

// install makes all threads of the process pass through the program.
func (f filter) install() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("poor disk: prctl: %w", err)
	}
	p := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	other, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&p)))
	if errno != 0 || other != 0 {
		return fmt.Errorf("poor disk: seccomp: %w (thread %d)", errno, other)
	}
	return nil
}
