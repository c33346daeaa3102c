package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// errNoLocks: the file system has no locks, as some network file systems.
var errNoLocks = errors.New("the file system has no locks")

// Where there are no locks, a second file stands for one, made with O_EXCL, whose holder renews its time every beat. One whose time stays
// the same for silence was left behind: it is watched, since clocks of a network file system's machines differ.
const (
	heldSuffix = ".held"
	beat       = time.Second
	silence    = 4 * time.Second // above two seconds, which is how fine FAT tells times
)

// lockFile locks f, the file at path, for this process, or fails at once with ErrBusy. release is nil where closing f does it.
func lockFile(f *os.File, path string) (release func(), err error) {
	if err := lock(f); !errors.Is(err, errNoLocks) {
		return nil, err
	}
	return hold(path + heldSuffix)
}

// hold makes the file that stands for a lock.
func hold(name string) (release func(), err error) {
	for {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil {
			_, _ = fmt.Fprintf(f, "%d\n", os.Getpid()) // for a person to read
			_ = f.Close()
			return renew(name), nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		// Of two that find it silent at the same moment one may remove the other's: then both write the same bytes to one file, or the
		// pieces of one are found wrong when they are checked.
		if err := watch(name); err != nil {
			return nil, err
		}
	}
}

// renew changes a file's time every beat until the returned function removes it.
func renew(name string) (release func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case now := <-time.After(beat):
				_ = os.Chtimes(name, now, now) // a missed beat is made good by the next
			}
		}
	}()
	return func() {
		close(stop)
		<-done
		_ = os.Remove(name) // a file left behind is silent
	}
}

// watch returns ErrBusy once a file's time changes, and nil if it goes or stays silent: then it is removed.
func watch(name string) error {
	first, err := fresh(name)
	for end := time.Now().Add(silence); err == nil && time.Now().Before(end); time.Sleep(beat / 10) {
		var now os.FileInfo
		if now, err = fresh(name); err == nil && !now.ModTime().Equal(first.ModTime()) {
			return ErrBusy
		}
	}
	if err == nil {
		err = os.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its holder is done
	}
	return err
}

// fresh is os.Stat that asks the server of a network file system: it answers from what it knows unless the file is opened.
func fresh(name string) (os.FileInfo, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, f.Close())
}
