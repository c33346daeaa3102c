// Package poordisk makes the process of a test live with disks as they should not be: full, read-only, without links or locks. It changes
// what the kernel answers to the process, for the rest of its life and without any right that others lack: so the program is tested as
// it is, with all that it calls.
package poordisk

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Variable is the environment variable by which a test tells a process that it starts what to Enter.
const Variable = "TEST_POOR_DISK"

// ErrNotHere says that this system can't make a process live so.
var ErrNotHere = errors.New("poor disks are made on Linux on amd64 and arm64 only")

// kinds is what a process shall live with.
type kinds struct {
	full     int64 // offset from which on no positioned write succeeds (ENOSPC); -1: off
	short    int64 // size that no file exceeds (EFBIG); -1: off
	readonly bool  // nothing is opened for writing, made, renamed or removed (EROFS)
	nolinks  bool  // neither symbolic nor hard links are made (EPERM), as on FAT
	nolocks  bool  // flock(2) fails (ENOLCK), as on NFS without its lock service
}

// Enter takes words with commas between them: full=BYTES, short=BYTES, readonly, nolinks, nolocks. "" changes nothing.
func Enter(words string) error {
	if words == "" {
		return nil
	}
	k := kinds{full: -1, short: -1}
	for word := range strings.SplitSeq(words, ",") {
		name, value, _ := strings.Cut(word, "=")
		n, err := strconv.ParseInt(value, 10, 32)
		switch {
		case name == "full" && err == nil && n >= 0:
			k.full = n
		case name == "short" && err == nil && n >= 0:
			k.short = n
		case word == "readonly":
			k.readonly = true
		case word == "nolinks":
			k.nolinks = true
		case word == "nolocks":
			k.nolocks = true
		default:
			return fmt.Errorf("%s=%s: want full=BYTES, short=BYTES, readonly, nolinks or nolocks, found %q", Variable, words, word)
		}
	}
	return k.enter()
}
