package emulate

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func someKernel(*int32, *uint8, int) float32 { return 0 }

// What is written is what tools/asm-emulate/README.md describes.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cases.jsonl")
	t.Setenv(variable, path)
	t.Cleanup(closeFile)
	closeFile()
	c := Case{
		Name: "n=2", Func: someKernel, CPU: AVXVNNI,
		Args:   []Arg{Ptr("acc"), Slice("w", 3), Int(2), Uint32(math.MaxUint32), Float32(-1.5)},
		Memory: map[string]Block{"acc": Out([]int32{1, -1}), "w": In([]uint8{1, 2, 255}), "none": In([]float32{})},
		Expect: map[string][]byte{"acc": Bytes([]int32{7, 8})},
		Ret:    []Arg{Float32(float32(math.Inf(1)))},
	}
	Write(t, c)
	Write(t, c)
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(got), "\n")
	if len(lines) != 3 || lines[0] != lines[1] || lines[2] != "" {
		t.Fatalf("wrote %q, want two equal lines", lines)
	}
	const want = `{
		"name": "n=2", "cpu": "arrow_lake", "symbol": "github.com/systemgemma/systemgemma/internal/testkit/emulate.someKernel",
		"args": [{"ptr": "acc"}, {"slice": "w", "len": 3, "cap": 3}, {"int": 2}, {"u32": 4294967295}, {"f32": 3217031168}],
		"memory": {
			"acc": {"data": "AQAAAP////8=", "align": 4, "guard": "both", "readonly": false, "type": "i32"},
			"w": {"data": "AQL/", "align": 1, "guard": "both", "readonly": true, "type": "u8"},
			"none": {"data": "", "align": 4, "guard": "both", "readonly": true, "type": "f32"}},
		"expect": {"acc": "BwAAAAgAAAA="}, "ret": [{"f32": 2139095040}]}`
	var g, w any
	if err := json.Unmarshal([]byte(lines[0]), &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("case (-want +got):\n%s", diff)
	}
}

func TestWriteNothingWithoutTheVariable(t *testing.T) {
	t.Setenv(variable, "")
	Write(t, Case{Func: someKernel})
	if file.File != nil || Enabled() {
		t.Error("wrote a case although ASM_EMULATE_CASES is not set")
	}
}

// What the caller changes after Bytes does not change the case.
func TestBytesCopies(t *testing.T) {
	s := []uint16{1, 2}
	b := Bytes(s)
	s[0] = 9
	if diff := cmp.Diff([]byte{1, 0, 2, 0}, b); diff != "" {
		t.Errorf("bytes (-want +got):\n%s", diff)
	}
}

// closeFile makes the next Write begin a new file.
func closeFile() {
	if file.File != nil {
		_ = file.File.Close() // a test's own file
		file.File = nil
	}
}
