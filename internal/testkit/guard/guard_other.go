//go:build !unix

package guard

import "testing"

// Copy returns a plain copy: guard pages are made on Unix only.
func Copy[T any](t testing.TB, s []T) []T { return append([]T(nil), s...) }

// CopyFront returns a plain copy.
func CopyFront[T any](t testing.TB, s []T) []T { return append([]T(nil), s...) }
