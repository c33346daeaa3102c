package kernel

import (
	"bytes"
	"debug/elf"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// macroBytes are the bytes of a macro for the numbers of its three registers, from the header by the assembler's own rules, which
// are those of Go's integer constants but in shifts.
func macroBytes(t *testing.T, exprs, params []string, regs [3]int) []byte {
	var code []byte
	for _, expr := range exprs {
		if regexp.MustCompile(`(<<|>>)\d+&`).MatchString(expr) {
			t.Fatalf("%s: Go's assembler takes all of 3&1 as the distance of a shift, put it in parentheses", expr)
		}
		for i, name := range params {
			expr = strings.ReplaceAll(expr, "("+name+")", strconv.Itoa(regs[i]))
		}
		v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, expr)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		b, ok := constant.Uint64Val(v.Value)
		if !ok || b > 255 {
			t.Fatalf("%s = %v, want a byte", expr, v.Value)
		}
		code = append(code, byte(b))
	}
	return code
}

// Each macro of bytes makes what GNU as makes of its mnemonic, for all choices of YMM and a sample of those of ZMM registers.
func TestMacrosEqualAssembler(t *testing.T) {
	sample.Skip(t)
	all := make([]int, 16)
	for i := range all {
		all[i] = i
	}
	for _, c := range []struct {
		header, mnemonic string
		params           []string // the order of the mnemonic's operands in AT&T syntax
		registers        []int
		size             int
	}{
		{"vnni_vex_amd64.h", "{vex} vpdpbusd %%ymm%d, %%ymm%d, %%ymm%d", []string{"w", "a", "acc"}, all, 5},
		{"bf16_evex_amd64.h", "vdpbf16ps %%zmm%d, %%zmm%d, %%zmm%d", []string{"a", "w", "acc"}, []int{0, 1, 6, 7, 8, 13, 15, 16, 17, 19, 20, 23, 24, 26, 31}, 6},
	} {
		t.Run(c.header, func(t *testing.T) { compareMacro(t, c.header, c.mnemonic, c.params, c.registers, c.size) })
	}
}

func compareMacro(t *testing.T, header, mnemonic string, params []string, registers []int, size int) {
	src, err := os.ReadFile(header)
	if err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, m := range regexp.MustCompile(`(?m)^\tBYTE \$([^;/\n]+?)(;| +//)`).FindAllSubmatch(src, -1) {
		exprs = append(exprs, string(m[1]))
	}
	if len(exprs) != size {
		t.Fatalf("%s: found %d bytes, want %d", header, len(exprs), size)
	}
	as, err := exec.LookPath("x86_64-linux-gnu-as")
	if err != nil && runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		as, err = exec.LookPath("as")
	}
	if err != nil {
		t.Skipf("needs GNU as for x86-64 (Debian: binutils): %v", err)
	}
	var got []byte
	var source strings.Builder
	for _, x := range registers {
		for _, y := range registers {
			for _, z := range registers {
				got = append(got, macroBytes(t, exprs, params, [3]int{x, y, z})...)
				fmt.Fprintf(&source, mnemonic+"\n", x, y, z)
			}
		}
	}
	object := filepath.Join(t.TempDir(), "macro.o")
	cmd := exec.Command(as, "--64", "-o", object, "-")
	cmd.Stdin = strings.NewReader(source.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%.300s", as, err, out)
	}
	file, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, err := file.Section(".text").Data()
	if err != nil || len(want) != len(got) {
		t.Fatalf("GNU as made %d bytes, the macro %d: %v", len(want), len(got), err)
	}
	lines := strings.Split(source.String(), "\n")
	for i := 0; i < len(got); i += size {
		if !bytes.Equal(got[i:i+size], want[i:i+size]) {
			t.Fatalf("%s: macro %x, GNU as %x", lines[i/size], got[i:i+size], want[i:i+size])
		}
	}
}
