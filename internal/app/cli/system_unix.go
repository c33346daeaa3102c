//go:build !windows

package cli

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// What systems say of a disk.
var (
	diskFull     = []error{syscall.ENOSPC, syscall.EDQUOT}
	diskReadOnly = []error{syscall.EROFS}
	fileTooLarge = []error{syscall.EFBIG}
)

// denied tells that this user may not open a device. It is not opened: some wake up by that.
func denied(path string) bool { return unix.Access(path, unix.R_OK|unix.W_OK) == unix.EACCES }
