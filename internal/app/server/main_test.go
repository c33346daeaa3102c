package server_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, none of which may leave a goroutine behind, or is the client of a benchmark.
func TestMain(m *testing.M) {
	if url := os.Getenv(clientVariable); url != "" {
		if err := numbersClient(url, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
