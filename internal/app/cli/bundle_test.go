package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// call runs one command line in this process and returns what it wrote.
func call(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env := &Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Executable: exe, Getenv: func(k string) string {
		if k == "HOME" || k == "SYSTEMGEMMA_HOME" {
			return home
		}
		return ""
	}}
	status = Main(context.Background(), args, env)
	return out.String(), errs.String(), status
}

// tinyProgram stands for this program on systems that no test starts it on. It has the mark of programs that know bundles.
const tinyProgram = `package main

var mark = []byte("SYSTEMGEMMA-BNDL")

func main() { println(string(mark)) }
`

// crossBuild makes a program for a system: the package of that path, or, without one, tinyProgram.
func crossBuild(t *testing.T, goos, arch, pkg string) string {
	t.Helper()
	sample.Skip(t)
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("not run here: no go command to build a program for another system with")
	}
	if pkg == "" {
		pkg = filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(pkg, []byte(tinyProgram), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "systemgemma")
	cmd := exec.Command(tool, "build", "-buildvcs=false", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

func smallModel(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.gguf")
	if _, err := systemgemma.Convert(context.Background(), systemgemma.Mini, &systemgemma.ConvertOptions{Output: path, Types: []string{"w4"}}); err != nil {
		t.Fatal(err)
	}
	return path
}

// The program for arm64 answers from the model inside it, on an emulated CPU.
func TestBundleForArm64(t *testing.T) {
	const emulator = "qemu-aarch64-static"
	if _, err := exec.LookPath(emulator); err != nil || runtime.GOOS != "linux" {
		t.Skip("not run here: no " + emulator)
	}
	out := filepath.Join(t.TempDir(), "assistant")
	_, errs, status := call(t, "bundle", smallModel(t), "-o", out, "--binary", crossBuild(t, "linux", "arm64", "github.com/systemgemma/systemgemma/cmd/systemgemma"), "--system", "Talk like a pirate.")
	if status != 0 || errs != "" {
		t.Fatalf("status %d: %s", status, errs)
	}
	cmd := exec.Command(emulator, "-cpu", "cortex-a76", out, "run", "What is the capital of France?")
	cmd.Env = []string{"HOME=" + t.TempDir()}
	got, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	want, _, _ := call(t, "run", "-m", "mini", "--system", "Talk like a pirate.", "What is the capital of France?")
	if string(got) != want || want == "" {
		t.Errorf("answered %q, want %q", got, want)
	}
}

// Bundles for systems that no test starts are made, and labelled so.
func TestBundleForOtherSystems(t *testing.T) {
	model := smallModel(t)
	for _, c := range [][2]string{{"darwin", "arm64"}, {"windows", "amd64"}} {
		out, program := filepath.Join(t.TempDir(), "assistant"), crossBuild(t, c[0], c[1], "")
		stdout, errs, status := call(t, "bundle", model, "-o", out, "--binary", program)
		if status != 0 || !strings.Contains(errs, "no bundle for "+c[0]+" has ever been started") {
			t.Errorf("%v: status %d: %s", c, status, errs)
		}
		if !strings.Contains(stdout, c[0]+"/"+c[1]) {
			t.Errorf("%v: %s", c, stdout)
		}
		stdout, _, status = call(t, "bundle", model, "-o", out, "--binary", program, "--force", "--json")
		if status != 0 || !strings.Contains(stdout, `"tried": false`) {
			t.Errorf("%v: status %d: %s", c, status, stdout)
		}
	}
}

// What does not fit below 4 GiB is refused with the types that do.
func TestTypesThatFit(t *testing.T) {
	for _, c := range []struct {
		room      int64
		fits, not string
	}{
		{4_200_000_000, "w8a8", "bf16"}, {2_400_000_000, "w4", "w8a8"}, {1_000_000, "", "w4"},
	} {
		got := strings.Join(typesThatFit(gemma2B(), c.room), " ")
		if c.fits != "" && !strings.Contains(got, c.fits) || strings.Contains(got, c.not) {
			t.Errorf("%d bytes: %s; want %s and not %s", c.room, got, c.fits, c.not)
		}
	}
}

// gemma2B is the shape of Gemma 2 2B.
func gemma2B() *systemgemma.Config {
	c := &systemgemma.Config{
		VocabSize: 256000, HiddenSize: 2304, IntermediateSize: 9216, NumLayers: 26, NumHeads: 8, NumKVHeads: 4, HeadDim: 256, QueryPreAttnScalar: 256,
		AttnSoftcap: 50, FinalSoftcap: 30, SlidingWindow: 4096, RopeTheta: 10000, RMSNormEps: 1e-6, MaxPositions: 8192, TieEmbeddings: true,
	}
	for i := range c.NumLayers {
		c.LayerTypes = append(c.LayerTypes, []string{"sliding_attention", "full_attention"}[i%2])
	}
	return c
}
