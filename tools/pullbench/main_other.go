//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "pullbench: want Linux, whose peak memory and system calls it looks at")
	os.Exit(1)
}
