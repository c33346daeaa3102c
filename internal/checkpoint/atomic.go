package checkpoint

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// writeAtomic makes or replaces the file at path with what write puts into a temporary file beside it. The file is on disk
// under its name when writeAtomic returns nil; on an error, path is as it was and the temporary file is gone (unless the
// folder itself can't be flushed, after the rename).
func writeAtomic(path string, write func(f *os.File) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.OpenFile(filepath.Join(dir, "."+filepath.Base(path)+"."+rand.Text()+".tmp"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	renamed := false
	defer func() {
		if err != nil && !renamed {
			_ = f.Close() // closed already unless write failed
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	renamed = true
	return SyncFolder(dir)
}

// SyncFolder makes a rename in dir last through a loss of power. Windows cannot do it for a folder.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
