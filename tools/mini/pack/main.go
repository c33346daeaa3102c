// Command pack makes the embedded model from a checkpoint folder: go run ./tools/mini/pack tools/mini/model internal/mini/mini.gguf,
// or go generate ./internal/mini.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/convert"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("want a checkpoint folder and the file to write")
	}
	ck, err := checkpoint.Open(args[0])
	if err != nil {
		return err
	}
	defer ck.Close()
	crew := parallel.New(runtime.GOMAXPROCS(0))
	defer crew.Close()
	return convert.File(context.Background(), ck, args[1], convert.Options{
		Kinds: convert.Kinds{Type: quant.Spec{Layout: quant.W8C}}, Name: "SystemGemma Mini", SystemMode: "systemgemma2",
		Provenance: map[string]string{"base": "SystemGemma Mini, trained from random weights by tools/mini", "license": "Apache-2.0"},
	}, crew)
}
