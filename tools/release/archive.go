package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// file is one of an archive: its path there with slashes, its source, its mode there.
type file struct {
	name, source string
	mode         fs.FileMode
}

// folder lists the files under dir, all with mode 0644.
func folder(dir string) (files []file, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, file{filepath.ToSlash(name), path, 0o644})
		return err
	})
	return files, err
}

func sorted(files []file) []file {
	return slices.SortedFunc(slices.Values(files), func(a, b file) int { return strings.Compare(a.name, b.name) })
}

// writeTar makes a .tar.gz whose bytes depend on names, contents, modes and t only.
func writeTar(path string, files []file, t time.Time) error {
	return create(path, func(w io.Writer) error {
		z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		a := tar.NewWriter(z)
		for _, f := range sorted(files) {
			data, err := os.ReadFile(f.source)
			if err != nil {
				return err
			}
			h := &tar.Header{Name: f.name, Size: int64(len(data)), Mode: int64(f.mode), ModTime: t, Format: tar.FormatPAX}
			if err := a.WriteHeader(h); err != nil {
				return err
			}
			if _, err := a.Write(data); err != nil {
				return err
			}
		}
		return errors.Join(a.Close(), z.Close())
	})
}

// writeZip makes a .zip whose bytes depend on the same.
func writeZip(path string, files []file, t time.Time) error {
	return create(path, func(w io.Writer) error {
		a := zip.NewWriter(w)
		for _, f := range sorted(files) {
			data, err := os.ReadFile(f.source)
			if err != nil {
				return err
			}
			h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: t.UTC()}
			h.SetMode(f.mode)
			e, err := a.CreateHeader(h)
			if err != nil {
				return err
			}
			if _, err := e.Write(data); err != nil {
				return err
			}
		}
		return a.Close()
	})
}

func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
