package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/systemgemma/systemgemma/internal/testkit/poordisk"
)

// childVariable makes this test binary the program, for tests that kill it or run it beside others.
const childVariable = "TEST_SYSTEMGEMMA_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := poordisk.Enter(os.Getenv(poordisk.Variable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(Main(context.Background(), os.Args[1:], Process()))
	}
	testscript.Main(m, map[string]func(){
		"systemgemma": func() { os.Exit(Main(context.Background(), os.Args[1:], Process())) },
	})
}

// Each script in testdata is a success, a wrong use and a hostile input of one command, as a shell sees it.
func TestScripts(t *testing.T) {
	files, err := testModels(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]func(*testscript.TestScript, bool, []string){
		// hub MODE: from now on the hub answers 503 (down), with a login page (portal), 403 (gated) or honestly again (up).
		"hub": func(ts *testscript.TestScript, neg bool, args []string) {
			if len(args) != 1 || neg || !slices.Contains([]string{"down", "portal", "gated", "up"}, args[0]) {
				ts.Fatalf("usage: hub down|portal|gated|up")
			}
			h := ts.Value("hub").(*testHub)
			h.mu.Lock()
			defer h.mu.Unlock()
			h.mode = strings.TrimPrefix(args[0], "up")
		},
	}
	sampled := func(name string) (bool, error) { // scripts that nothing runs beside begin with [sample] skip
		if name != "sample" {
			return false, fmt.Errorf("unknown condition %q", name)
		}
		return os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "", nil
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, Cmds: commands, Condition: sampled, Setup: func(e *testscript.Env) error {
		e.Setenv("GORACE", "atexit_sleep_ms=0") // else each command of a -race build takes a second
		hub := startTestHub(files)
		e.Defer(hub.Close)
		e.Values["hub"] = hub
		e.Setenv("HF_ENDPOINT", hub.URL)
		startTestRegistry(e, files["owner/mini-GGUF"]["mini-Q8_0.gguf"])
		e.Setenv("HF_HOME", filepath.Join(e.WorkDir, "hf-home"))
		e.Setenv("SYSTEMGEMMA_HOME", filepath.Join(e.WorkDir, "home"))
		models, err := filepath.Abs(filepath.Join("testdata", "models"))
		e.Setenv("MODELS", models)
		return err
	}})
}
