package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/systemgemma/systemgemma"
)

// diskHint says what to do about a disk that failed, "" about other errors.
func diskHint(err error) string {
	what := "the output"
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		what = e.Path
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		what = e.New
	}
	switch {
	case errorIsAny(err, diskFull), errors.Is(err, systemgemma.ErrNoSpace):
		return fmt.Sprintf("the disk of %s is full: make room on it and give the same command again; what pull and convert have done is kept", what)
	case errorIsAny(err, diskReadOnly):
		return fmt.Sprintf("%s lies on a disk that is only read: SYSTEMGEMMA_HOME moves the models to another one, HF_HOME the hub's cache", what)
	case errorIsAny(err, fileTooLarge):
		return fmt.Sprintf("the disk of %s takes no file of that size (FAT ends below 4 GiB): take another disk, or a smaller --type", what)
	}
	return ""
}

func errorIsAny(err error, list []error) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
