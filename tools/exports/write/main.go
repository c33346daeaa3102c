// Command write exports a model to another program's format: go run ./tools/exports/write SOURCE TARGET TYPE OUT.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/convert"
	"github.com/systemgemma/systemgemma/internal/mini"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("want SOURCE TARGET TYPE OUT, found %d arguments", len(args))
	}
	var ck *checkpoint.Checkpoint
	var err error
	if args[0] == "mini" {
		ck, err = checkpoint.OpenBytes("mini", mini.File())
	} else {
		ck, err = checkpoint.Open(args[0])
	}
	if err != nil {
		return err
	}
	defer ck.Close()
	e, err := convert.Export(ck, args[3], convert.ExportOptions{To: convert.Target(args[1]), Type: args[2], Name: "test", Overwrite: true})
	if err != nil {
		return err
	}
	crew := parallel.New(2)
	defer crew.Close()
	for _, n := range e.Notes {
		fmt.Println(n)
	}
	return e.Run(context.Background(), crew)
}
