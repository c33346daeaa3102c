// Command systemgemma runs Gemma 2 with system prompts. See its --help, or package cli.
package main

import (
	"context"
	"os"

	"github.com/systemgemma/systemgemma/internal/app/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Process()))
}
