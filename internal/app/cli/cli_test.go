package cli

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"systemgemma": func() { os.Exit(Main(context.Background(), os.Args[1:], Process())) },
	})
}

// Each script in testdata is a success, a wrong use and a hostile input of one command, as a shell sees it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, Setup: func(e *testscript.Env) error {
		e.Setenv("GORACE", "atexit_sleep_ms=0") // else each command of a -race build takes a second
		models, err := filepath.Abs(filepath.Join("testdata", "models"))
		e.Setenv("MODELS", models)
		return err
	}})
}
