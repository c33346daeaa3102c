package cli

import "golang.org/x/sys/windows"

// What the system says of a disk.
var (
	diskFull     = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL}
	diskReadOnly = []error{windows.ERROR_WRITE_PROTECT}
	fileTooLarge = []error{windows.ERROR_FILE_TOO_LARGE}
)

// denied tells that this user may not open a device; there are no such nodes.
func denied(string) bool { return false }
