package floors

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module     = "../.." // this module's folder
	modulePath = "github.com/systemgemma/systemgemma"
)

// floors are the packages from top to bottom (docs/design.md, section 3): each stands for itself and all below its path, and
// may import what comes after it, and others of its own floor. "" is the root package alone.
var floors = []string{
	"tools", "cmd", "internal/app", "", "internal/engine", "internal/quality", "internal/equalise", "internal/load", "internal/gemma2", "internal/convert", "internal/checkpoint",
	"internal/text", "internal/decode", "internal/compute", "internal/arch", "internal/mini",
}

// floorOf returns the floor of a package, by its path in the module ("" is the root package); -1 if the list lacks it.
func floorOf(pkg string) int {
	return slices.IndexFunc(floors, func(f string) bool { return pkg == f || f != "" && strings.HasPrefix(pkg, f+"/") })
}

// wrongImport says why a package may not import another, or nothing if it may. Files of tests are not asked about.
func wrongImport(pkg, imported string) string {
	const testkit = "internal/testkit"
	app := floorOf(pkg) >= 0 && floorOf(pkg) < floorOf("")
	own, isOwn := strings.CutPrefix(imported+"/", modulePath+"/")
	own = strings.TrimSuffix(own, "/")
	switch {
	case !isOwn:
		thirdParty := strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")
		if thirdParty && !app && !strings.HasPrefix(imported, "golang.org/x/sys/") {
			return "the library may import the standard library and golang.org/x/sys only"
		}
	case strings.HasPrefix(own, testkit):
		if !strings.HasPrefix(pkg, testkit) {
			return "internal/testkit is for tests only"
		}
	case strings.HasPrefix(pkg, testkit):
		return "internal/testkit imports none of our packages"
	case pkg == "internal/floors":
		return "internal/floors has a test only"
	case floorOf(pkg) < 0 || floorOf(own) < 0:
		return "the list of floors in floors_test.go lacks one of the two"
	case floorOf(own) < floorOf(pkg):
		return "imports go down only: " + strings.Join(floors, ", ")
	case strings.HasPrefix(pkg, "cmd/") && floorOf(own) != floorOf("internal/app"):
		return "cmd imports internal/app only"
	case strings.HasPrefix(pkg, "internal/app/") && own != "" && floorOf(own) != floorOf(pkg):
		return "of our packages internal/app imports the root package and its own only"
	}
	return ""
}

// wrongImports reads all Go files under dir, whatever their build tags, and returns a line for each import that may not be.
func wrongImports(dir string) (wrong []string, files int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, noModule := os.Stat(filepath.Join(path, "go.mod"))
			if base := d.Name(); path != dir && (noModule == nil || base == "testdata" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir // what go list ./... skips too
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		pkg := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(rel)), ".")
		for _, i := range f.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if why := wrongImport(pkg, imported); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s imports %s: %s", filepath.ToSlash(rel), imported, why))
			}
		}
		files++
		return nil
	})
	return wrong, files, err
}

func TestImportsGoDownOnly(t *testing.T) {
	wrong, files, err := wrongImports(module)
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 {
		t.Errorf("only %d Go files found: want the whole module", files)
	}
	for _, w := range wrong {
		t.Error(w)
	}
}

// Each planted violation is found, and each allowed import beside it is not.
func TestWrongImportsAreFound(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		allowed        bool
	}{
		{"internal/decode/stop/a.go", modulePath + "/internal/text/tokenizer", false},
		{"internal/text/tokenizer/a.go", modulePath + "/internal/decode/stop", true},
		{"internal/compute/kernel/a_windows.go", modulePath + "/internal/engine", false},
		{"internal/compute/kernel/a.go", modulePath + "/internal/compute/half", true},
		{"internal/gemma2/a.go", modulePath, false},
		{"internal/engine/a.go", modulePath + "/internal/app/cli", false},
		{"a.go", modulePath + "/internal/app/cli", false},
		{"a.go", modulePath + "/internal/engine", true},
		{"internal/app/cli/a.go", modulePath, true},
		{"internal/app/cli/a.go", modulePath + "/internal/app/eval/obedience", true},
		{"internal/app/cli/a.go", modulePath + "/internal/engine", false},
		{"internal/app/cli/a.go", modulePath + "/cmd/systemgemma", false},
		{"internal/app/cli/a.go", "github.com/alecthomas/kong", true},
		{"cmd/systemgemma/a.go", modulePath + "/internal/app/cli", true},
		{"cmd/systemgemma/a.go", modulePath, false},
		{"internal/checkpoint/gguf/a.go", "github.com/alecthomas/kong", false},
		{"a.go", "golang.org/x/text/cases", false},
		{"a.go", "golang.org/x/sys/cpu", true},
		{"internal/arch/a.go", modulePath + "/internal/testkit/golden", false},
		{"internal/arch/a_test.go", modulePath + "/internal/testkit/golden", true},
		{"internal/testkit/golden/a.go", modulePath + "/internal/arch", false},
		{"internal/arch/a.go", modulePath + "/internal/new", false},
		{"internal/new/a.go", modulePath + "/internal/arch", false},
		{"internal/engineer/a.go", modulePath + "/internal/mini", false}, // is not internal/engine
		{"tools/mini/pack/a.go", modulePath + "/internal/convert", true},
		{"internal/arch/testdata/a.go", modulePath, true},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, filepath.FromSlash(c.file))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, fmt.Appendf(nil, "package a\n\nimport _ %q\n", c.imported), 0o666); err != nil {
			t.Fatal(err)
		}
		wrong, _, err := wrongImports(dir)
		if err != nil || (len(wrong) == 0) != c.allowed {
			t.Errorf("%s imports %s: found %q, %v, want allowed %v", c.file, c.imported, wrong, err, c.allowed)
		}
	}
}

// strayPaths returns the lines of files under dir that name paths of one particular machine, where readers can't follow.
// What git ignores is not left out: such files must not name them either.
func strayPaths(dir string) (stray []string, err error) {
	forbidden := []string{"../" + "shared", "shared/" + "golden", "/" + "work/", "/" + "farm/"}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git": // in a linked work tree it is a file
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular() || filepath.ToSlash(path) == filepath.ToSlash(filepath.Join(dir, ".ci/run")):
			return nil // the one file that knows where golden data lies
		}
		b, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(b[:min(len(b), 8000)], 0) >= 0 { // not text, as git decides it
			return err
		}
		for _, f := range forbidden {
			if i := bytes.Index(b, []byte(f)); i >= 0 {
				stray = append(stray, fmt.Sprintf("%s:%d names %s", path, 1+bytes.Count(b[:i], []byte("\n")), f))
			}
		}
		return nil
	})
	return stray, err
}

func TestNoPathOfOneMachine(t *testing.T) {
	stray, err := strayPaths(module)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stray {
		t.Error(s)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"a.md": "see\n" + "../" + "shared/x", ".ci/run": "../" + "shared/x", "b.go": "// /home/" + "work/x", "c.go": "open(\"/" + "work/x\")"} {
		if err := os.MkdirAll(filepath.Join(dir, ".ci"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if stray, err := strayPaths(dir); err != nil || len(stray) != 3 || !strings.HasSuffix(stray[0], "a.md:2 names ../"+"shared") {
		t.Errorf("planted paths: found %q, %v, want those of a.md, b.go and c.go", stray, err)
	}
}
