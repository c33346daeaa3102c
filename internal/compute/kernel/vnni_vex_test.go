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
)

// vexBytes are the bytes of VPDPBUSD_VEX for its three registers, from the header by the assembler's own rules, which are
// those of Go's integer constants.
func vexBytes(t *testing.T, exprs []string, w, a, acc int) []byte {
	var code []byte
	for _, expr := range exprs {
		for name, n := range map[string]int{"(w)": w, "(a)": a, "(acc)": acc} {
			expr = strings.ReplaceAll(expr, name, strconv.Itoa(n))
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

func TestVEXEqualsAssembler(t *testing.T) {
	src, err := os.ReadFile("vnni_vex_amd64.h")
	if err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, m := range regexp.MustCompile(`(?m)^\tBYTE \$([^;/\n]+?)(;| +//)`).FindAllSubmatch(src, -1) {
		exprs = append(exprs, string(m[1]))
	}
	if len(exprs) != 5 {
		t.Fatalf("vnni_vex_amd64.h: found %d bytes, want 5", len(exprs))
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
	for i := range 16 * 16 * 16 {
		w, a, acc := i%16, i/16%16, i/256
		got = append(got, vexBytes(t, exprs, w, a, acc)...)
		fmt.Fprintf(&source, "{vex} vpdpbusd %%ymm%d, %%ymm%d, %%ymm%d\n", w, a, acc)
	}
	object := filepath.Join(t.TempDir(), "vex.o")
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
	for i := 0; i < len(got); i += 5 {
		if !bytes.Equal(got[i:i+5], want[i:i+5]) {
			t.Fatalf("%s: macro %x, GNU as %x", lines[i/5], got[i:i+5], want[i:i+5])
		}
	}
}
