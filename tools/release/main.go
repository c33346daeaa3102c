// Command release makes what a release consists of, from a clean checkout, into a folder that must not exist:
//
//	go run ./tools/release -o dist
//
// The same commit and Go version give the same bytes, wherever and whenever it runs: times are the commit's, paths are trimmed,
// lists are sorted. It runs git and go, and nfpm as a Go tool of the module in tools/packages. README.md has the details.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

var allTargets = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

// release is one run. Paths are absolute.
type release struct {
	out, stage string
	targets    []string
	cache      string // for go build; "" is the usual one
	version    string // as the program tells it, such as v1.2.3
	time       time.Time
}

func main() {
	var r release
	targets := flag.String("targets", strings.Join(allTargets, ","), "platforms, as OS/ARCH,...")
	flag.StringVar(&r.out, "o", "dist", "folder to make")
	flag.StringVar(&r.cache, "cache", "", "build cache of go to use instead of the usual one")
	dirty := flag.Bool("dirty", false, "let a changed checkout pass; its version says so")
	flag.Parse()
	r.targets = strings.Split(*targets, ",")
	if err := r.run(*dirty); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func (r *release) run(dirty bool) (err error) {
	for _, t := range r.targets {
		if !slices.Contains(allTargets, t) {
			return fmt.Errorf("-targets: want some of %s, found %q", strings.Join(allTargets, ","), t)
		}
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if _, err := os.Stat(r.out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("-o: want a path where nothing is, found %s", r.out)
	}
	if err := r.source(dirty); err != nil {
		return err
	}
	if r.stage, err = os.MkdirTemp("", "release-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.stage)) }()
	if err := r.shared(); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	for _, t := range r.targets {
		if err := r.target(t); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	sums, err := r.sums()
	if err != nil {
		return err
	}
	if err := r.manifests(sums); err != nil {
		return err
	}
	if sums, err = r.sums(); err != nil { // now with the manifests
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// source looks at the checkout.
func (r *release) source(dirty bool) error {
	if r.cache != "" {
		var err error
		if r.cache, err = filepath.Abs(r.cache); err != nil {
			return err
		}
	}
	changes, err := output("git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" && !dirty {
		return fmt.Errorf("want a clean checkout, or -dirty; found changes:\n%s", changes)
	}
	seconds, err := output("git", "show", "-s", "--format=%ct", "HEAD")
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	r.time = time.Unix(n, 0).UTC()
	return err
}

// build makes a program.
func (r *release) build(target, path string) error {
	goos, arch, _ := strings.Cut(target, "/")
	// What the environment says about building must not change the bytes.
	env := []string{"GOOS=" + goos, "GOARCH=" + arch, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off"}
	if r.cache != "" {
		env = append(env, "GOCACHE="+r.cache)
	}
	return command(env, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", path, "./cmd/systemgemma")
}

// shared stages what all platforms have in common: completions, manual pages, texts. A program for this machine writes it.
func (r *release) shared() error {
	self := filepath.Join(r.stage, "self", "systemgemma")
	if err := r.build(runtime.GOOS+"/"+runtime.GOARCH, self); err != nil {
		return err
	}
	info, err := readBuild(self)
	if err != nil {
		return err
	}
	r.version = info.Main.Version
	common, man := filepath.Join(r.stage, "common"), filepath.Join(r.stage, "common", "man", "man1")
	for _, dir := range []string{man, filepath.Join(common, "completions")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for shell, name := range map[string]string{"bash": "systemgemma.bash", "zsh": "_systemgemma", "fish": "systemgemma.fish", "powershell": "systemgemma.ps1"} {
		text, err := exec.Command(self, "completion", shell).Output()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(common, "completions", name), text, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"LICENSE", "NOTICE", "README.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(common, name), text, 0o644); err != nil {
			return err
		}
	}
	return command(nil, self, "man", man)
}

// target makes the archive of a platform, its packages and its list of components.
func (r *release) target(target string) error {
	goos, arch, _ := strings.Cut(target, "/")
	program := "systemgemma"
	if goos == "windows" {
		program += ".exe"
	}
	path := filepath.Join(r.stage, goos+"_"+arch, program)
	if err := r.build(target, path); err != nil {
		return err
	}
	files, err := folder(filepath.Join(r.stage, "common"))
	if err != nil {
		return err
	}
	files = append(files, file{program, path, 0o755})
	name := filepath.Join(r.out, fmt.Sprintf("systemgemma_%s_%s_%s", strings.TrimPrefix(r.version, "v"), goos, arch))
	if goos == "windows" {
		err = writeZip(name+".zip", files, r.time)
	} else {
		err = writeTar(name+".tar.gz", files, r.time)
	}
	if err == nil {
		err = r.components(name+".spdx.json", path)
	}
	if err == nil && goos == "linux" {
		err = r.packages(arch, path)
	}
	return err
}

// checksums are names and SHA-256 in hexadecimal, sorted by name.
type checksums [][2]string

func (s checksums) String() string {
	var b strings.Builder
	for _, x := range s {
		fmt.Fprintf(&b, "%s  %s\n", x[1], x[0])
	}
	return b.String()
}

// find is the checksum of the file whose name ends so; "" if there is none.
func (s checksums) find(suffix string) string {
	for _, x := range s {
		if strings.HasSuffix(x[0], suffix) {
			return x[1]
		}
	}
	return ""
}

func (r *release) sums() (s checksums, err error) {
	entries, err := os.ReadDir(r.out) // sorted
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(r.out, e.Name()))
		if err != nil {
			return nil, err
		}
		s = append(s, [2]string{e.Name(), fmt.Sprintf("%x", sha256.Sum256(data))})
	}
	return s, err
}

// output is what a command writes, without the last line end.
func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimRight(string(out), "\n"), nil
}

// command runs one, with more environment.
func command(env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
