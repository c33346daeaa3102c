//go:build amd64 && !noasm

package kernel

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/cpu"
)

// A set is offered only where all of its flags are set: without any one of them it is gone.
func TestSetsNeedTheirFlags(t *testing.T) {
	was := cpu.X86
	defer func() { cpu.X86 = was }()
	rounds := roundsAsDefined
	defer func() { roundsAsDefined = rounds }()
	roundsAsDefined = func() bool { return true }
	x := &cpu.X86
	avx2, avxvnni := []*bool{&x.HasAVX2, &x.HasFMA, &x.HasF16C}, []*bool{&x.HasAVXVNNI}
	avx512 := []*bool{&x.HasAVX512F, &x.HasAVX512BW, &x.HasAVX512DQ, &x.HasAVX512VL, &x.HasAVX512VNNI}
	bf16 := []*bool{&x.HasAVX512BF16}
	all := slices.Concat(avx2, avxvnni, avx512, bf16)
	check := func(what string, want ...string) {
		t.Helper()
		var got []string
		for _, set := range assembled() {
			got = append(got, set.name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: sets %v, want %v", what, got, want)
		}
	}
	without := func(flags []*bool, want ...string) {
		t.Helper()
		for _, flag := range flags {
			*flag = false
			check("one flag missing", want...)
			*flag = true
		}
	}
	for _, flag := range all {
		*flag = true
	}
	check("every flag", "avx2", "avxvnni", "avx512vnni", "avx512bf16")
	without(avx2)
	without(avxvnni, "avx2", "avx512vnni", "avx512bf16")
	without(bf16, "avx2", "avxvnni", "avx512vnni")
	without(avx512, "avx2", "avxvnni")
	roundsAsDefined = func() bool { return false }
	check("VDPBF16PS rounds otherwise", "avx2", "avxvnni", "avx512vnni")
}

// A set holds functions of its own levels only. Which instructions a level has is checked by emulation on a CPU without the
// others, and by the test below.
func TestSetsHoldTheirLevels(t *testing.T) {
	want := map[string]string{"avx2": `AVX2$`, "avxvnni": `AVX(2|VNNI)$`, "avx512vnni": `AVX(2|512|512VNNI)$`,
		"avx512bf16": `AVX(2|512|512VNNI|512BF16)$`}
	for _, l := range levels {
		sets := []reflect.Value{reflect.ValueOf(*l.set)}
		if l.set.bounded != nil {
			sets = append(sets, reflect.ValueOf(*l.set.bounded))
		}
		for _, set := range sets {
			for _, field := range reflect.VisibleFields(set.Type()) {
				if field.Type.Kind() != reflect.Func || field.Name == "packRounded" || field.Name == "rowTerms" && l.set != &avx2 { // these are Go
					continue
				}
				name := runtime.FuncForPC(set.FieldByIndex(field.Index).Pointer()).Name()
				if !regexp.MustCompile(want[l.set.name]).MatchString(strings.TrimSuffix(name, ".abi0")) {
					t.Errorf("%s.%s is %s, want a function %s", l.set.name, field.Name, name, want[l.set.name])
				}
			}
		}
	}
}

// No source of the lower levels names what AVX-512 has: its registers, masks, suffixes and the instructions that Go encodes
// for it alone.
func TestLowerLevelsUseNoAVX512(t *testing.T) {
	above := regexp.MustCompile(`\bZ\d+\b|\b[XY](1[6-9]|2\d|3[01])\b|\bK[0-7]\b|\.(BCST|Z)\b|\bVPDPBUSD\b|\bVPTERNLOG|\bV(RNDSCALE|MOVDQ[AU](8|16|32|64)|P(XOR|OR|AND|ANDN)[DQ])`)
	if !above.MatchString("VPXORD Z0, Z0, Z0") || !above.MatchString("VPDPBUSD Y1, Y2, Y3") || above.MatchString("VPXOR Y15, Y1, Y2") {
		t.Fatal("the pattern is wrong")
	}
	comment := regexp.MustCompile(`//.*`)
	var files []string
	for _, pattern := range []string{"*_avx2_amd64.*", "*_avxvnni_amd64.*", "*_vex_amd64.*"} {
		list, err := filepath.Glob(pattern)
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(list), err)
		}
		files = append(files, list...)
	}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(src), "\n") {
			if m := above.FindString(comment.ReplaceAllString(line, "")); m != "" {
				t.Errorf("%s:%d: %s is above its level: %s", name, i+1, m, line)
			}
		}
	}
}
