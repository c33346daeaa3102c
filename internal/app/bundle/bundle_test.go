package bundle

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// fakeModel is bytes that begin as a model does; this package does not look further.
func fakeModel(n int) []byte {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	copy(b, "GGUF")
	return b
}

// tinyProgram is built for systems that this test does not run on. It has the mark of programs that know bundles.
const tinyProgram = `package main

var mark = []byte("SYSTEMGEMMA-BNDL")

func main() { println(string(mark)) }
`

// build makes it, without symbols or with.
func build(t *testing.T, goos, arch, ldflags string) string {
	t.Helper()
	sample.Skip(t)
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("not run here: no go command to build a program for another system with")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"main.go": tinyProgram, "go.mod": "module tiny\n\ngo 1.26\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "tiny")
	cmd := exec.Command(tool, "build", "-buildvcs=false", "-ldflags="+ldflags, "-o", out, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+arch, "CGO_ENABLED=0", "GOWORK=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

// bundled writes a bundle to memory.
func bundled(t *testing.T, p *Program, model []byte, c Card) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := p.Write(context.Background(), &out, bytes.NewReader(model), int64(len(model)), c); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// check finds model and card again.
func check(t *testing.T, out, model []byte, c Card) {
	t.Helper()
	b, err := find(bytes.NewReader(out), int64(len(out)))
	if err != nil || b == nil {
		t.Fatalf("find: %v, %v", b, err)
	}
	if b.Card != c {
		t.Errorf("card %+v, want %+v", b.Card, c)
	}
	if b.Offset%align != 0 || !bytes.Equal(out[b.Offset:b.Offset+b.Size], model) {
		t.Errorf("the model differs: %d bytes from %d on", b.Size, b.Offset)
	}
	if _, err := parseProgram(out); err == nil || !strings.Contains(err.Error(), "without a model") {
		t.Errorf("a bundle as a program: %v", err)
	}
}

func self(t *testing.T) *Program {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Find(path); b != nil || err != nil {
		t.Fatalf("a model in the program of this test: %v, %v", b, err)
	}
	p, err := OpenProgram(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The program of this test takes models of any size and gives them back.
func TestBundleOfThisProgram(t *testing.T) {
	p := self(t)
	for _, n := range []int{5, align - 1, align, 200_003} {
		card := Card{Name: "model", System: "You are \"terse\".\n", SystemMode: "turn"}
		model := fakeModel(n)
		out := bundled(t, p, model, card)
		check(t, out, model, card)
		if p.mach == nil && !bytes.Equal(out[:len(p.data)], p.data) {
			t.Error("the program changed")
		}
	}
}

// Of a damaged trailer or card, and of a program whose end is missing, find says so; it never gives another model.
func TestDamagedBundle(t *testing.T) {
	p := self(t)
	if p.mach != nil {
		t.Skip("not run here: the trailer lies elsewhere in programs of darwin")
	}
	model := fakeModel(100_000)
	whole := bundled(t, p, model, Card{Name: "model", System: "Be kind."})
	end := bytes.LastIndexByte(whole[:len(whole)-trailerSize], '{')
	for at := end; at < len(whole); at++ {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		if b, err := find(bytes.NewReader(damaged), int64(len(damaged))); err == nil {
			t.Errorf("byte %d from the end damaged: found %+v", len(whole)-at, b)
		}
	}
	begin := len(whole) - len(model) - 200
	for n := len(whole) - 1; n > begin; n -= 997 {
		if b, err := find(bytes.NewReader(whole[:n]), int64(n)); err == nil || !strings.Contains(err.Error(), "end is missing") {
			t.Errorf("cut to %d bytes: %+v, %v", n, b, err)
		}
	}
	if b, err := find(bytes.NewReader(p.data), int64(len(p.data))); b != nil || err != nil {
		t.Errorf("the program alone: %+v, %v", b, err)
	}
	other := append(bytes.Clone(p.data), make([]byte, 3*align)...)
	if b, err := find(bytes.NewReader(other), int64(len(other))); b != nil || err != nil {
		t.Errorf("something else appended: %+v, %v", b, err)
	}
}

func TestModelThatChangesWhileItIsRead(t *testing.T) {
	p := self(t)
	for _, n := range []int{999, 1001} {
		if err := p.Write(context.Background(), &bytes.Buffer{}, bytes.NewReader(fakeModel(n)), 1000, Card{}); err == nil {
			t.Errorf("a model of %d bytes passed for 1000", n)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Write(ctx, &bytes.Buffer{}, bytes.NewReader(fakeModel(1000)), 1000, Card{}); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if err := p.Write(context.Background(), &bytes.Buffer{}, bytes.NewReader(fakeModel(1000)), 1000, Card{System: strings.Repeat("x", maxCard)}); err == nil {
		t.Error("a card of more than its bound was written")
	}
}

func TestProgramsThatAreNone(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"":                             "want a program for linux",
		"#!/bin/sh\n":                  "want a program for linux",
		"\x7fELF":                      "",
		"MZ":                           "",
		"\xcf\xfa\xed\xfe":             "want a Mach-O file",
		"\xca\xfe\xba\xbe\x00\x00\x00": "want a program for linux",
	} {
		path := filepath.Join(dir, "x")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenProgram(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if b, err := Find(path); b != nil || err != nil {
			t.Errorf("%q: found %v, %v", text, b, err)
		}
	}
	if tool, err := exec.LookPath("go"); err == nil {
		if _, err := OpenProgram(tool); err == nil || !strings.Contains(err.Error(), "knows bundles") && !strings.Contains(err.Error(), "want") {
			t.Errorf("the go command passed for this program: %v", err)
		}
	}
}

func TestWindows(t *testing.T) {
	for _, ldflags := range []string{"", "-s -w"} {
		p, err := OpenProgram(build(t, "windows", "amd64", ldflags))
		if err != nil {
			t.Fatal(err)
		}
		if p.OS != "windows" || p.Arch != "amd64" || p.Tried() {
			t.Errorf("program for %s/%s, tried %v", p.OS, p.Arch, p.Tried())
		}
		model, card := fakeModel(123_457), Card{Name: "m"}
		out := bundled(t, p, model, card)
		check(t, out, model, card)
		if b, err := find(bytes.NewReader(out[:len(out)-500]), int64(len(out)-500)); err == nil {
			t.Errorf("cut: %+v", b)
		}
		room := p.Room(card)
		if err := p.Write(context.Background(), &bytes.Buffer{}, nil, room+1, card); err == nil {
			t.Error("a model beyond the limit was written")
		}
		if end := roundUp(int64(len(p.data)), align) + room; end > fileLimit || end < fileLimit-1<<20 {
			t.Errorf("room of %d bytes, so the file ends at %d", room, end)
		}
	}
}

func TestLinuxHasRoomForAll(t *testing.T) {
	if room := (&Program{OS: "linux"}).Room(Card{}); room != math.MaxInt64 {
		t.Errorf("room %d", room)
	}
}

// What it costs a program to look for a model in itself: where there is none, and where there is one.
func BenchmarkFind(b *testing.B) {
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	p, err := OpenProgram(path)
	if err != nil {
		b.Fatal(err)
	}
	out, err := os.Create(filepath.Join(b.TempDir(), "bundle"))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if err := p.Write(context.Background(), out, bytes.NewReader(fakeModel(1<<20)), 1<<20, Card{Name: "m"}); err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"none": path, "model": out.Name()} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if x, err := Find(path); err != nil || (x != nil) != (name == "model") {
					b.Fatal(x, err)
				}
			}
		})
	}
}

// FuzzFind reads any bytes as a program.
func FuzzFind(f *testing.F) {
	t := trailer{card: 2, offset: align, size: 10, cardSum: 0}
	f.Add(append(bytes.Repeat([]byte{1}, align+12), t.encode()...))
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add([]byte("MZ"))
	f.Add([]byte("\xcf\xfa\xed\xfe\x07\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := find(bytes.NewReader(data), int64(len(data)))
		if b != nil && (err != nil || b.Offset%align != 0 || b.Size <= 0 || b.Offset+b.Size > int64(len(data))) {
			t.Errorf("%+v, %v", b, err)
		}
	})
}
