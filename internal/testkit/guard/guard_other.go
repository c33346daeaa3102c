//go:build !unix

package guard

// Copy returns a plain copy: guard pages are made on Unix only.
func Copy[T any](t TB, s []T) []T { return append([]T(nil), s...) }

// CopyFront returns a plain copy.
func CopyFront[T any](t TB, s []T) []T { return append([]T(nil), s...) }
