// Package download owns how bytes get from a server into a file under its final name: one request or several ranges, what was cut
// or stalled taken up again, also by a later process, and nothing under the final name before its hash is right.
//
// It must not know where the bytes come from, nor what a cache is: a Getter asks for them, and a path says where they go.
package download

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// Getter asks for the bytes [from, to) of the file, to < 0 for its end; without a Range when from is 0 and to negative. fresh
// asks for a new link first. Errors are those of package wire.
type Getter interface {
	Get(ctx context.Context, from, to int64, fresh bool) (*http.Response, error)
}

// Target is a file to be made.
type Target struct {
	Name string // for messages and progress
	Path string // final name; the partial file and its journal lie beside it
	Size int64  // -1 if unknown
	Sum  Sum
	// Prefix is a file that another client left unfinished, used as a beginning if the hash is right at the end; "" for none.
	Prefix string
}

// Options are how it is done. The zero value is usable: one range, no progress, real time.
type Options struct {
	Ranges  int           // requests at the same time for large files, default 1
	Large   int64         // size from which ranges are used, default 64 MiB
	Segment int64         // bytes a range asks for, default 32 MiB
	Block   int64         // if > 0, only whole blocks are kept of what is cut: how the reference client's block size is replayed
	Stall   time.Duration // silence after which a connection is given up, default 10 s
	Once    bool          // a file whose hash is wrong is not fetched once more
	Retries int           // tries in a row without new bytes after the first, default 5
	Wait    func(ctx context.Context, try int, err error) error
	Clock   wire.Clock
	Limit   *Limiter
	Report  func(Progress)                  // called by several goroutines, one at a time
	Free    func(dir string) (int64, error) // free bytes on disk, default hfcache.FreeBytes
}

// Progress is how far a file is.
type Progress struct {
	Name        string
	Done, Total int64 // bytes on disk, checked or not; Total is -1 if unknown
	Retry       error // why the connection is tried again, else nil
}

// Suffixes of what lies beside an unfinished file. They differ from the reference client's, which would go on with it unchecked.
const (
	Partial = ".systemgemma-partial"
	Journal = Partial + ".journal"
)

// maxUnknown bounds a file whose size nobody told.
const maxUnknown = 64 << 20

// HashError is a file whose bytes are not those that the hub names.
type HashError struct {
	Name string
	Want Sum
	Got  string
}

func (e *HashError) Error() string {
	return fmt.Sprintf("%s: %s is %s, and the hub names %s; the bytes were deleted: the file changed meanwhile, or something between "+
		"the hub and here changes it; run the same command again", e.Name, e.Want.Kind, e.Got, e.Want.Hex)
}

// SizeError is a body of another size than the hub named.
type SizeError struct {
	Name      string
	Want, Got int64
	More      bool // Got is where reading was stopped
}

func (e *SizeError) Error() string {
	more := ""
	if e.More {
		more = " or more"
	}
	return fmt.Sprintf("%s: want %d bytes as the hub named, the server sent %d%s; run the same command again", e.Name, e.Want, e.Got, more)
}

// SpaceError is a disk too full, found before anything is fetched.
type SpaceError struct {
	Dir        string
	Need, Free int64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: needs %d bytes more, %d are free; free %d bytes, or set HF_HOME to another disk", e.Dir, e.Need, e.Free, e.Need-e.Free)
}

// Fetch makes the file at t.Path, or leaves what it has of it in the partial file for the next time. The caller holds a lock that
// keeps others from the same file. On success the file has the right size and hash (unless t.Sum is empty) and is on disk.
// A file whose hash is wrong is deleted and fetched once more over a fresh link.
func Fetch(ctx context.Context, t Target, get Getter, o Options) error {
	o = o.withDefaults()
	err := fetch(ctx, t, get, o, false)
	if _, wrong := errors.AsType[*HashError](err); wrong && !o.Once {
		o.Report(Progress{Name: t.Name, Total: t.Size, Retry: err})
		t.Prefix = ""
		err = fetch(ctx, t, get, o, true)
	}
	return err
}

func (o Options) withDefaults() Options {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Large, 64<<20)
	def(&o.Segment, 32<<20)
	o.Ranges = max(o.Ranges, 1)
	if o.Stall <= 0 {
		o.Stall = 10 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 5
	}
	if o.Report == nil {
		o.Report = func(Progress) {}
	}
	if o.Free == nil {
		o.Free = hfcache.FreeBytes
	}
	if o.Wait == nil {
		o.Wait = func(ctx context.Context, _ int, _ error) error { return o.Clock.Sleep(ctx, time.Second) }
	}
	return o
}

// Discard removes what is left of an unfinished file.
func Discard(path string) error {
	var errs []error
	for _, name := range []string{path + Partial, path + Journal} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func fetch(ctx context.Context, t Target, get Getter, o Options, fresh bool) (err error) {
	f, err := openPart(t)
	if err != nil {
		return err
	}
	defer func() {
		if f != nil {
			err = errors.Join(err, f.close())
		}
	}()
	dir := filepath.Dir(t.Path)
	j := &job{target: t, get: get, o: o, part: f, fresh: fresh}
	err = o.room(dir, t.Size-f.held())
	if err == nil {
		err = j.run(ctx)
	}
	if err != nil {
		_, size := errors.AsType[*SizeError](err)
		if _, hash := errors.AsType[*HashError](err); hash || size || f.held() == 0 {
			err = errors.Join(err, f.close(), Discard(t.Path))
			f = nil
		}
		return err
	}
	err = errors.Join(f.file.Sync(), f.close())
	f = nil
	if err != nil {
		return err
	}
	if err := os.Rename(t.Path+Partial, t.Path); err != nil {
		return err
	}
	return errors.Join(Discard(t.Path), hfcache.SyncFolder(dir))
}

// room refuses what the disk can't hold. A file system that can't say is tried.
func (o Options) room(dir string, need int64) error {
	if free, err := o.Free(dir); err == nil && free < need {
		return &SpaceError{dir, need, free}
	}
	return nil
}
