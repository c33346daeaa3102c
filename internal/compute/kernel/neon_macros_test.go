package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// neonMacro is one line of neon_arm64.h: #define NAME(params) WORD $(expr) // mnemonic.
type neonMacro struct {
	name, expr, mnemonic string
	params               []string
}

var neonMacroLine = regexp.MustCompile(`(?m)^#define (\w+)\(([\w, ]+)\)\s+WORD \$(\(.*\)) // (.+)$`)

func neonMacros(t *testing.T) []neonMacro {
	src, err := os.ReadFile("neon_arm64.h")
	if err != nil {
		t.Fatal(err)
	}
	var list []neonMacro
	for _, m := range neonMacroLine.FindAllStringSubmatch(string(src), -1) {
		list = append(list, neonMacro{name: m[1], params: strings.Split(m[2], ", "), expr: m[3], mnemonic: m[4]})
	}
	if n := bytes.Count(src, []byte("WORD")); len(list) == 0 || n != len(list) {
		t.Fatalf("neon_arm64.h: %d macros with a mnemonic, %d times WORD", len(list), n)
	}
	return list
}

// registers are operands whose bits differ everywhere; lane i takes the value modulo 4.
var registers = [][3]int{{0, 0, 0}, {1, 2, 4}, {8, 16, 31}, {31, 8, 16}, {16, 31, 8}, {21, 10, 29}, {30, 17, 3}, {31, 31, 31}}

// word is the macro's value by the assembler's own rules, which are those of Go's integer constants.
func (m neonMacro) word(t *testing.T, args map[string]int) uint32 {
	expr := m.expr
	for _, p := range m.params {
		expr = regexp.MustCompile(`\b`+p+`\b`).ReplaceAllString(expr, strconv.Itoa(args[p]))
	}
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, expr)
	if err != nil {
		t.Fatalf("%s: %s: %v", m.name, expr, err)
	}
	w, _ := constant.Uint64Val(v.Value)
	return uint32(w)
}

var mnemonicOperand = regexp.MustCompile(`\b([VS])([mnd])\b|\[i\]`)

// text is the macro's mnemonic with its operands filled in.
func (m neonMacro) text(args map[string]int) string {
	return mnemonicOperand.ReplaceAllStringFunc(m.mnemonic, func(s string) string {
		if s == "[i]" {
			return fmt.Sprintf("[%d]", args["i"])
		}
		return strings.ToLower(s[:1]) + strconv.Itoa(args[s[1:]])
	})
}

func TestNeonMacrosEncodeTheirMnemonics(t *testing.T) {
	as, err := exec.LookPath("aarch64-linux-gnu-as")
	if err != nil {
		t.Skipf("needs GNU as for aarch64 (Debian: binutils-aarch64-linux-gnu): %v", err)
	}
	var source strings.Builder
	var got []uint32
	var lines []string
	source.WriteString(".arch armv8.2-a+dotprod+i8mm\n")
	for _, m := range neonMacros(t) {
		for _, r := range registers {
			args := map[string]int{"m": r[0], "n": r[1], "d": r[2], "i": (r[0] + r[1]/8) % 4}
			got = append(got, m.word(t, args))
			lines = append(lines, fmt.Sprintf("%s%v: %s", m.name, args, m.text(args)))
			source.WriteString(m.text(args) + "\n")
		}
	}
	object := filepath.Join(t.TempDir(), "macros.o")
	cmd := exec.Command(as, "-o", object, "-")
	cmd.Stdin = strings.NewReader(source.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", as, err, out)
	}
	file, err := elf.Open(object)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	want, err := file.Section(".text").Data()
	if err != nil || len(want) != 4*len(got) {
		t.Fatalf("GNU as made %d bytes of %d instructions: %v", len(want), len(got), err)
	}
	for i, w := range got {
		if gnu := binary.LittleEndian.Uint32(want[4*i:]); w != gnu {
			t.Errorf("%s: macro %08x, GNU as %08x", lines[i], w, gnu)
		}
	}
	t.Logf("compared %d encodings", len(got))
}

// Every raw word is a macro of the header, so that none escapes the test above, and every macro has a use.
func TestNeonWordsAreMacros(t *testing.T) {
	files, err := filepath.Glob("*_arm64.s")
	if err != nil || len(files) == 0 {
		t.Fatalf("no assembly found: %v", err)
	}
	header, err := os.ReadFile("neon_arm64.h")
	if err != nil {
		t.Fatal(err)
	}
	used := neonMacroLine.ReplaceAllString(string(header), "") // macros may use macros
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(src, []byte("WORD")) || bytes.Contains(src, []byte("BYTE")) {
			t.Errorf("%s: holds raw instruction words; want macros of neon_arm64.h", name)
		}
		used += string(src)
	}
	for _, m := range neonMacros(t) {
		if !strings.Contains(used, m.name+"(") {
			t.Errorf("neon_arm64.h: %s is not used", m.name)
		}
	}
}
