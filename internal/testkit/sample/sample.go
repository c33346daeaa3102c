// Package sample is for tests that take long on an emulated CPU, without assembly or with the race detector: legs that run so
// set SYSTEMGEMMA_TEST_SAMPLE, and the native leg runs everything.
//
// It must not be imported but by tests.
package sample

import (
	"os"
	"testing"
)

// Skip leaves t to the legs that run everything.
func Skip(t testing.TB) {
	t.Helper()
	if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" {
		t.Skip("left to the native leg: SYSTEMGEMMA_TEST_SAMPLE asks for a sample")
	}
}
