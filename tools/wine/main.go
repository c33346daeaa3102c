// Command wine starts the program's Windows binary under wine, where wine can start Go programs at all:
//
//	go run ./tools/wine
//
// It compares what the commands say, and the bytes of a converted model, with the program of this machine. Where there is no wine, or it
// can't start a hello-world in Go, it says "not run here: windows (...)" and ends with status 77.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	dir, err := os.MkdirTemp("", "wine")
	if err == nil {
		err = (&bottle{dir: dir}).run()
		_ = os.RemoveAll(dir) // a temporary folder
	}
	var missing notHere
	switch {
	case errors.As(err, &missing):
		fmt.Println(missing)
		os.Exit(77)
	case err != nil:
		fmt.Fprintln(os.Stderr, "wine:", err)
		os.Exit(1)
	}
}

// notHere is why nothing could be tried.
type notHere string

func (n notHere) Error() string { return "not run here: windows (" + string(n) + ")" }

// bottle is an installation of wine of its own.
type bottle struct {
	dir  string
	wine string // the program
}

// limit bounds one command: making a new installation takes the longest.
const limit = 3 * time.Minute

const hello = "package main\n\nimport \"os\"\n\nfunc main() { _, _ = os.Stdout.WriteString(\"hello\\n\") }\n"

func (b *bottle) run() error {
	for _, name := range []string{"wine64", "/usr/lib/wine/wine64", "wine"} {
		if path, err := exec.LookPath(name); err == nil && b.wine == "" {
			b.wine = path
		}
	}
	if b.wine == "" {
		return notHere("no wine")
	}
	begin := time.Now()
	if err := os.WriteFile(b.at("hello.go"), []byte(hello), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"windows", b.at("hello.exe"), b.at("hello.go")}, {"windows", b.at("systemgemma.exe"), "./cmd/systemgemma"}, {"", b.at("systemgemma"), "./cmd/systemgemma"},
	} {
		if err := build(args[0], args[1], args[2]); err != nil {
			return err
		}
	}
	built := time.Since(begin)
	defer b.end()
	if said, err := b.start("wineboot", "--init"); err != nil {
		return fmt.Errorf("wineboot: %w\n%s", err, said)
	}
	system := b.at("prefix/drive_c/windows/system32")
	if _, err := os.Stat(filepath.Join(system, stubName)); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(filepath.Join(system, stubName), stub(), 0o600); err != nil {
			return err
		}
	}
	if said, err := b.start(b.at("hello.exe")); err != nil || strings.TrimSpace(said) != "hello" {
		return notHere("wine cannot start Go programs")
	}
	ready := time.Since(begin)
	n, err := b.compare()
	if err == nil {
		version, _ := exec.Command(b.wine, "--version").Output() // for the line only
		fmt.Printf("windows: %d commands under %s say what they say here (%.0f s: %.0f s to build, %.0f s to make wine ready)\n", n, strings.TrimSpace(string(version)),
			time.Since(begin).Seconds(), built.Seconds(), (ready - built).Seconds())
	}
	return err
}

func (b *bottle) at(name string) string { return filepath.Join(b.dir, filepath.FromSlash(name)) }

func build(system, output, source string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", output, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if system != "" {
		cmd.Env = append(cmd.Env, "GOOS="+system, "GOARCH=amd64")
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", source, err, said)
	}
	return nil
}

// start runs a Windows program to its end.
func (b *bottle) start(program string, args ...string) (said string, err error) {
	return b.command(b.wine, append([]string{program}, args...)...)
}

// command runs a program in an environment of its own.
func (b *bottle) command(program string, args ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = b.dir
	cmd.WaitDelay = time.Second // what wine leaves running holds the output open
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "WINEPREFIX=" + b.at("prefix"), "WINEARCH=win64", "WINEDEBUG=-all",
		"WINEDLLOVERRIDES=mscoree,mshtml=;bcryptprimitives=n,b",
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, errs.String())
	}
	return strings.ReplaceAll(out.String(), "\r\n", "\n"), err
}

// end stops what runs of this installation.
func (b *bottle) end() {
	for _, name := range []string{"wineserver", "/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver"} {
		if path, err := exec.LookPath(name); err == nil {
			_, _ = b.command(path, "-k") // only that of WINEPREFIX
			return
		}
	}
}

// compare gives the same commands to both programs.
func (b *bottle) compare() (n int, err error) {
	for _, c := range []struct {
		args string // with _ for a space within an argument, and OUT for a file of the system's own
		same bool   // what is said does not depend on the system
	}{
		{"version", false}, {"doctor", false}, {"", false}, {"run --system Talk_like_a_pirate. What_is_the_capital_of_France?", true}, {"tokenize Hello,_world", true},
		{"template --system Be_brief. Hi", true}, {"show --tensors", true}, {"convert mini --type w4 --no-report -o OUT.gguf", false}, {"verify OUT.gguf", false},
		{"import OUT.gguf --name own", false}, {"list", false}, {"cp own second", false}, {"run --max-tokens 8 second Hi", true}, {"rm own second --yes", false},
		{"completion powershell", true},
	} {
		var said [2]string
		for i, program := range []string{b.at("systemgemma"), b.at("systemgemma.exe")} {
			var args []string
			for arg := range strings.FieldsSeq(c.args) {
				args = append(args, strings.NewReplacer("_", " ", "OUT", []string{"here", "wine"}[i]).Replace(arg))
			}
			if i == 0 {
				said[i], err = b.command(program, args...)
			} else {
				said[i], err = b.start(program, args...)
			}
			if err != nil {
				return n, err
			}
		}
		if c.same && said[0] != said[1] || said[1] == "" && said[0] != "" {
			return n, fmt.Errorf("systemgemma %s: under wine it says\n%s\nwant\n%s", c.args, said[1], said[0])
		}
		n++
	}
	here, err := os.ReadFile(b.at("here.gguf"))
	if err != nil {
		return n, err
	}
	if wine, err := os.ReadFile(b.at("wine.gguf")); err != nil || !bytes.Equal(here, wine) {
		return n, fmt.Errorf("a converted model has other bytes under wine (%v)", err)
	}
	return n + 1, b.bundled()
}

// bundled starts program and model in one file.
func (b *bottle) bundled() error {
	const question = "What is the capital of France?"
	if _, err := b.command(b.at("systemgemma"), "bundle", "here.gguf", "-o", "assistant.exe", "--binary", b.at("systemgemma.exe"), "--system", "Be brief."); err != nil {
		return err
	}
	want, err := b.command(b.at("systemgemma"), "run", "-m", "here.gguf", "--system", "Be brief.", question)
	if err != nil {
		return err
	}
	if said, err := b.start(b.at("assistant.exe"), "run", question); err != nil || said != want {
		return fmt.Errorf("a bundle says %q under wine, want %q (%v)", said, want, err)
	}
	return nil
}
