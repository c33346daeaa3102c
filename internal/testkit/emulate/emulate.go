// Package emulate writes cases for tools/asm-emulate, which runs single assembly functions on an emulated CPU: so a kernel
// is tested that the machine at hand can't run.
//
// A test calls Write for each case, whatever this CPU has; the case goes to the file that ASM_EMULATE_CASES names, and
// nowhere when it names none. For tests only; it knows bytes and the calling convention, not what a kernel computes.
package emulate

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"runtime"
	"sync"
	"unsafe"
)

// CPUs that tools/asm-emulate can be: each has the level it is named for and nothing newer (no BF16 or FP16, no AVX-512 beside
// AVX-VNNI), so that a kernel which uses more is found.
const (
	AVX512VNNI = "tigerlake"
	AVX512BF16 = "sapphire_rapids" // FP16 and AVX-VNNI too
	AVXVNNI    = "arrow_lake"
	AVX2       = "corei7_haswell_4770"
)

// A Case is one call of an assembly function (ABI0) and what must come of it.
type Case struct {
	Name   string            `json:"name"`
	Func   any               `json:"-"` // the function; naming it also keeps it linked
	CPU    string            `json:"cpu,omitempty"`
	Args   []Arg             `json:"args"`
	Memory map[string]Block  `json:"memory"`
	Expect map[string][]byte `json:"expect"` // by Bytes; a block not named must stay as it was
	Ret    []Arg             `json:"ret,omitempty"`
}

// An Arg is an argument or a result: one of Ptr, Slice, Int and so on makes it.
type Arg map[string]any

// Ptr points to a block.
func Ptr(block string) Arg { return Arg{"ptr": block} }

// Slice is a slice of n elements over a block, its capacity n too.
func Slice(block string, n int) Arg { return Arg{"slice": block, "len": n, "cap": n} }

// Int is an int.
func Int(n int) Arg { return Arg{"int": n} }

// Uint32 is a uint32.
func Uint32(n uint32) Arg { return Arg{"u32": n} }

// Float32 is a float32, by its bits: a NaN stays the NaN it is.
func Float32(f float32) Arg { return Arg{"f32": math.Float32bits(f)} }

// Float64 is a float64, by its bits.
func Float64(f float64) Arg { return Arg{"f64": math.Float64bits(f)} }

// A Block is memory that the function may touch. It stands at the end of a page before an unmapped one in one run of the
// case, and at the start of a page after an unmapped one in another.
type Block struct {
	Data     []byte `json:"data"`
	Align    int    `json:"align"`
	Guard    any    `json:"guard"`
	ReadOnly bool   `json:"readonly"`
	Type     string `json:"type,omitempty"`
}

// In is a block that the function may only read.
func In[T any](s []T) Block { return block(s, true) }

// Out is a block that the function may read and write.
func Out[T any](s []T) Block { return block(s, false) }

func block[T any](s []T, readOnly bool) Block {
	var zero T
	// What differs is shown as this type; those that the tool does not know are shown as bytes.
	names := map[reflect.Kind]string{
		reflect.Int8: "i8", reflect.Uint8: "u8", reflect.Int16: "i16", reflect.Uint16: "u16", reflect.Int32: "i32", reflect.Uint32: "u32",
		reflect.Float32: "f32", reflect.Float64: "f64",
	}
	return Block{Bytes(s), int(unsafe.Alignof(zero)), "both", readOnly, names[reflect.TypeFor[T]().Kind()]}
}

// Bytes is the memory of a slice, copied.
func Bytes[T any](s []T) []byte {
	if len(s) == 0 {
		return []byte{}
	}
	return append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))...)
}

// TB is what this package needs of a *testing.T or *rapid.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Enabled says whether cases are written. A test that makes many for the emulator only asks first.
func Enabled() bool { return os.Getenv(variable) != "" }

const variable = "ASM_EMULATE_CASES"

var file struct {
	sync.Mutex
	*os.File // nil until the first case
}

// Write adds a case to the file that ASM_EMULATE_CASES names; without it, it does nothing. It is safe for parallel tests.
func Write(t TB, c Case) {
	t.Helper()
	if !Enabled() {
		return
	}
	line, err := json.Marshal(struct {
		Case
		Symbol string `json:"symbol"`
	}{c, runtime.FuncForPC(reflect.ValueOf(c.Func).Pointer()).Name()})
	if err != nil {
		t.Fatalf("emulate %s: %v", c.Name, err)
	}
	file.Lock()
	defer file.Unlock()
	if file.File == nil {
		// Create, not append: an older run's cases must not be taken for this one's.
		if file.File, err = os.Create(os.Getenv(variable)); err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		t.Fatalf("emulate %s: %v", c.Name, err)
	}
}
