package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// storing returns an engine that keeps caches in dir; close it to have them written.
func storing(t *testing.T, dir string, typ gemma2.KVType, o Options) *Engine {
	t.Helper()
	base, _ := miniEngine(t, 64, 0)
	o.ContextLength, o.StoreDir = 2048, dir
	e, err := New(base.model, gemma2.NewPool(base.model.Config(), typ, 0), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func shut(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// A later run of the program starts from what an earlier one computed, with the same answer.
func TestStore(t *testing.T) {
	sample.Skip(t)
	fresh, _ := miniEngine(t, 2048, 0)
	window := fresh.model.Config().SlidingWindow
	for _, typ := range []gemma2.KVType{gemma2.KVF32, gemma2.KVF16, gemma2.KVI8} {
		for _, n := range []int{63, 64, 100, window - 10, window + 500} {
			dir := filepath.Join(t.TempDir(), "kv")
			p := longPrompt(n)
			e := storing(t, dir, typ, Options{})
			first, _, _ := answer(t, e, p, 10)
			shut(t, e)
			e = storing(t, dir, typ, Options{})
			again := slices.Concat(p, first, longPrompt(20))
			got, _, st := answer(t, e, again, 10)
			if want := len(p) + len(first) - 1; st.CachedTokens != want && n+len(first) > 64 {
				t.Errorf("%v, prompt of %d: %d tokens from the cache, want %d", typ, n, st.CachedTokens, want)
			}
			shut(t, e)
			e = storing(t, t.TempDir(), typ, Options{})
			if want, _, _ := answer(t, e, again, 10); !slices.Equal(got, want) {
				t.Errorf("%v, prompt of %d: %v from the stored cache, want %v", typ, n, got, want)
			}
			shut(t, e)
		}
	}
}

func kvFiles(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"+storeExt))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Other models' files are left alone, damaged ones deleted with a warning, old ones when there are too many bytes; files are
// readable by their owner only, and of no use to other models.
func TestStoreFiles(t *testing.T) {
	dir := t.TempDir()
	p := longPrompt(200)
	e := storing(t, dir, gemma2.KVF16, Options{})
	answer(t, e, p, 3)
	shut(t, e)
	files := kvFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("files %v, want one", files)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %v, want 0600", err, info.Mode())
	}
	other := storing(t, dir, gemma2.KVF16, Options{ModelID: [32]byte{1}})
	if _, _, st := answer(t, other, p, 3); st.CachedTokens != 0 {
		t.Errorf("another model took %d tokens", st.CachedTokens)
	}
	shut(t, other)
	if n := len(kvFiles(t, dir)); n != 2 {
		t.Errorf("%d files, want one of each model", n)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	want, _ := miniEngine(t, 2048, 0)
	right, _, _ := answer(t, want, p, 3)
	for name, damage := range map[string]func([]byte) []byte{
		"bit":       func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"truncated": func(b []byte) []byte { return b[:len(b)-1000] },
		"longer":    func(b []byte) []byte { return append(b, 0) },
		"page":      func(b []byte) []byte { b[len(storeMagic)+32+4+4*202] = 1; return b },
	} {
		if err := os.WriteFile(files[0], damage(slices.Clone(data)), 0o600); err != nil {
			t.Fatal(err)
		}
		e := storing(t, dir, gemma2.KVF16, Options{})
		got, _, st := answer(t, e, p, 3)
		if st.CachedTokens != 0 || !slices.Equal(got, right) || name != "page" && (len(st.Warnings) != 1 || !strings.Contains(st.Warnings[0], files[0])) {
			t.Errorf("%s: %d tokens from a damaged file, answer %v, warnings %q", name, st.CachedTokens, got, st.Warnings)
		}
		shut(t, e)
	}
	size := int64(len(data))
	e = storing(t, dir, gemma2.KVF16, Options{StoreBytes: 3 * size, ModelID: [32]byte{2}})
	for i := range 6 {
		q := longPrompt(200)
		q[1] = int32(400 + i)
		answer(t, e, q, 3)
		e.active.Wait() // written
	}
	if n := len(kvFiles(t, dir)); n != 2+3 {
		t.Errorf("%d files, want 3 of this model beside 2", n)
	}
	shut(t, e)
}

// FuzzStoredCache opens arbitrary bytes as a stored cache.
func FuzzStoredCache(f *testing.F) {
	base, _ := miniEngine(f, 64, 0)
	pool := gemma2.NewPool(base.model.Config(), gemma2.KVI8, 0)
	head := append([]byte(storeMagic), make([]byte, 32)...)
	f.Add(append(head, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x"+storeExt), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openStore(dir, [32]byte{}, 1<<20, pool, 100)
		if err != nil {
			t.Fatal(err)
		}
		for len(s.files) > 0 {
			tokens := append(slices.Clone(s.files[0].tokens), make([]int32, storeWorth)...)
			_, c, err := s.load(tokens, len(tokens), -storeWorth)
			if err == nil && c == nil {
				return
			}
			if err == nil {
				c.Free()
				return
			}
		}
	})
}

// Where memory for keys and values is bounded, a cache that is being written takes none from running requests.
func TestStoreWithinMemory(t *testing.T) {
	base, _ := miniEngine(t, 64, 0)
	limit := gemma2.NewPool(base.model.Config(), gemma2.KVF16, 0).Need(256)
	dir := t.TempDir()
	e, err := New(base.model, gemma2.NewPool(base.model.Config(), gemma2.KVF16, limit), Options{ContextLength: 256, StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		p := longPrompt(100 + 7*i)
		p[1] = int32(400 + i)
		if got, _, _ := answer(t, e, p, 20); len(got) == 0 { // fails when memory is short
			t.Errorf("prompt %d: no answer", i)
		}
	}
	shut(t, e)
	if n := len(kvFiles(t, dir)); n == 0 {
		t.Error("nothing was stored")
	}
}
