package hub_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// childVariable makes this test binary a process that pulls a snapshot, to be killed or to run beside others.
const childVariable = "SYSTEMGEMMA_HUB_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := pull(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// pull is what the child does. Waits take a hundredth of their time.
func pull() error {
	s, err := settings.FromEnv(os.LookupEnv, os.Getenv("HOME"))
	if err != nil {
		return err
	}
	s.HeadTimeout, s.StallTimeout = 1500*time.Second, 100*time.Second // 15 s and 1 s by this clock: machines are busy
	large, err := strconv.ParseInt(os.Getenv(childVariable), 10, 64)
	if err != nil {
		return err
	}
	c, err := hub.New(s, hub.Options{Clock: wire.Clock{Scale: 100}, Large: large, Segment: 300 << 10})
	if err != nil {
		return err
	}
	_, err = c.Snapshot(context.Background(), hub.SnapshotRequest{Repo: hub.Repo{ID: "owner/model"}})
	return err
}

func child(t *testing.T, endpoint, home string, large int64) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+strconv.FormatInt(large, 10), "HF_ENDPOINT="+endpoint, "HF_HOME="+home, "HF_TOKEN=hf_test")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &said
}

// unreliable is a hub and its storage, which cut, stall, refuse, lie about ranges, send wrong bytes and change their files.
type unreliable struct {
	hub, storage *httptest.Server

	mu       sync.Mutex
	rng      *rand.Rand
	evil     bool
	versions []map[string][]byte // file to bytes
	fetched  map[string]int      // GETs of a blob that began at its first byte
	tokens   int                 // requests to the storage with a token
}

func startUnreliable(t *testing.T, seed uint64, sizes ...int) *unreliable {
	u := &unreliable{rng: rand.New(rand.NewPCG(seed, 1)), fetched: map[string]int{}}
	for range 2 {
		files := map[string][]byte{"config.json": []byte(fmt.Sprintf(`{"seed": %d}`, u.rng.Uint64()))}
		for i, n := range sizes {
			b := make([]byte, n)
			for j := range b {
				b[j] = byte(u.rng.Uint32())
			}
			files[fmt.Sprintf("model-%d.safetensors", i)] = b
		}
		u.versions = append(u.versions, files)
	}
	u.storage = httptest.NewServer(http.HandlerFunc(u.serveStorage))
	u.hub = httptest.NewServer(http.HandlerFunc(u.serveHub)) // after the storage, whose address it tells
	t.Cleanup(u.hub.Close)
	t.Cleanup(u.storage.Close)
	return u
}

func commitOf(files map[string][]byte) string { return sum256(files["config.json"])[:40] }

func sum256(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

// pick draws what to do with a request: 0 is honest.
func (u *unreliable) pick(of int) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.evil {
		return 0
	}
	if u.rng.IntN(60) == 0 {
		u.versions[0], u.versions[1] = u.versions[1], u.versions[0] // the branch moves
	}
	return u.rng.IntN(of)
}

func (u *unreliable) serveHub(w http.ResponseWriter, r *http.Request) {
	switch u.pick(40) {
	case 1, 2:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case 3:
		panic(http.ErrAbortHandler)
	case 4:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>log in</html>"))
		return
	}
	u.mu.Lock()
	files := u.versions[0]
	for _, v := range u.versions {
		if strings.Contains(r.URL.Path, commitOf(v)) {
			files = v
		}
	}
	u.mu.Unlock()
	commit := commitOf(files)
	file := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	switch {
	case strings.Contains(r.URL.Path, "/revision/"):
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "owner/model", "sha": commit})
	case strings.Contains(r.URL.Path, "/tree/"):
		var list []map[string]any
		for name, b := range files {
			list = append(list, map[string]any{"type": "file", "path": name, "size": len(b), "oid": strings.Repeat("a", 40),
				"lfs": map[string]any{"oid": sum256(b), "size": len(b), "pointerSize": 130}})
		}
		_ = json.NewEncoder(w).Encode(list)
	default:
		b, ok := files[file]
		if !ok || !strings.Contains(r.URL.Path, commit) {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("X-Repo-Commit", commit)
		h.Set("X-Linked-Etag", `"`+sum256(b)+`"`)
		h.Set("X-Linked-Size", strconv.Itoa(len(b)))
		h.Set("Location", u.storage.URL+"/"+file+"/"+sum256(b)+"?Signature=secret")
		w.WriteHeader(http.StatusFound)
	}
}

func (u *unreliable) serveStorage(w http.ResponseWriter, r *http.Request) {
	name := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var b []byte
	u.mu.Lock()
	for _, v := range u.versions {
		if sum256(v[name[0]]) == name[1] {
			b = v[name[0]]
		}
	}
	if r.Header.Get("Authorization") != "" {
		u.tokens++
	}
	u.mu.Unlock()
	from, to := 0, len(b)
	if v := r.Header.Get("Range"); v != "" {
		a, z, _ := strings.Cut(strings.TrimPrefix(v, "bytes="), "-")
		from, _ = strconv.Atoi(a)
		if z != "" {
			to, _ = strconv.Atoi(z)
			to++
		}
	}
	body := bytes.Clone(b[min(from, len(b)):to])
	first, cut, stall := from, len(body), -1
	act := u.pick(30)
	u.mu.Lock()
	if from == 0 {
		u.fetched[name[0]]++
	}
	if len(body) > 1 {
		switch act {
		case 1, 2, 3, 4:
			cut = u.rng.IntN(len(body))
		case 5, 6:
			stall = u.rng.IntN(len(body))
		case 7:
			first++
		case 8:
			body[u.rng.IntN(len(body))] ^= 1
		case 9: // the bytes of another place
			body = append(body[len(body)/2:], body[:len(body)/2]...)
		}
	}
	u.mu.Unlock()
	switch act {
	case 10:
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	case 11:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case 12:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case 13:
		w.WriteHeader(http.StatusForbidden)
		return
	case 14:
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Header.Get("Range") != "" && act != 15 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+len(body)-1, len(b)))
		w.WriteHeader(http.StatusPartialContent)
	} else if act == 15 && from > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		body, cut = b, len(b)
	}
	const step = 64 << 10
	for at := 0; at < cut; at += step {
		if _, err := w.Write(body[at:min(at+step, cut)]); err != nil {
			return
		}
		if stall >= 0 && at >= stall {
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(3 * time.Second):
			}
			panic(http.ErrAbortHandler)
		}
		time.Sleep(time.Millisecond)
	}
	if cut < len(body) {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

// right checks that a cache has the current files, with the right bytes.
func (u *unreliable) right(t *testing.T, home string) {
	t.Helper()
	commit, err := os.ReadFile(filepath.Join(home, "hub/models--owner--model/refs/main"))
	if err != nil {
		t.Error(err)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for name, want := range u.versions[0] {
		got, err := os.ReadFile(filepath.Join(home, "hub/models--owner--model/snapshots", string(commit), name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d that are the hub's (%v)", name, len(got), len(want), err)
		}
	}
}

// A pull killed at any moment, through servers that fail and lie in every way, leaves nothing wrong under a final name, and goes
// on; in the end there are the right bytes or an error. SYSTEMGEMMA_HUB_KILLS is how many kills, default 12.
func TestKilledPulls(t *testing.T) {
	kills := 12
	if v := os.Getenv("SYSTEMGEMMA_HUB_KILLS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("SYSTEMGEMMA_HUB_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("SYSTEMGEMMA_HUB_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	const perCache = 6
	killed, ended, errors := 0, 0, map[string]int{}
	for round := uint64(0); killed < kills; round++ {
		u := startUnreliable(t, seed+round, 1<<20+rng.IntN(7<<20), 1<<20+rng.IntN(3<<20))
		home := filepath.Join(t.TempDir(), "hf")
		large := int64(1 << 40) // one request
		if round%2 == 1 {
			large = 1 << 20 // ranges
		}
		u.mu.Lock()
		u.evil = true
		u.mu.Unlock()
		for range min(perCache, kills-killed) {
			cmd, _ := child(t, u.hub.URL, home, large)
			time.Sleep(20*time.Millisecond + time.Duration(rng.IntN(300))*time.Millisecond)
			if cmd.Process.Kill() == nil {
				killed++
			}
			_ = cmd.Wait() // killed, or ended before
			sound(t, filepath.Dir(home), nil)
		}
		// To its end, still with bad servers: right or an error.
		cmd, said := child(t, u.hub.URL, home, large)
		err := cmd.Wait()
		sound(t, filepath.Dir(home), nil)
		if ended++; err != nil {
			line, _, _ := strings.Cut(said.String(), "\n")
			if line == "" || strings.Contains(said.String(), "panic") {
				t.Errorf("a pull failed without a clear error: %v\n%s", err, said)
			}
			errors[line[:min(len(line), 60)]]++
		}
		u.mu.Lock()
		u.evil = false
		u.mu.Unlock()
		cmd, said = child(t, u.hub.URL, home, large)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the servers are well again, and the pull fails: %v\n%s", err, said)
		}
		sound(t, filepath.Dir(home), nil)
		u.right(t, home)
		if u.tokens > 0 {
			t.Errorf("%d requests showed the token to the storage", u.tokens)
		}
		if left, _ := filepath.Glob(filepath.Join(home, "hub/models--owner--model/blobs/*.systemgemma-partial*")); len(left) > 2*len(u.versions[0]) {
			t.Errorf("left behind: %v", left)
		}
	}
	t.Logf("%d kills, %d pulls to their end against bad servers, %v of them with an error", killed, ended, errors)
}

// Eight processes that pull the same model at once make one download, and all succeed.
func TestEightPullsDownloadOnce(t *testing.T) {
	u := startUnreliable(t, 8, 3<<20)
	home := filepath.Join(t.TempDir(), "hf")
	var all []*exec.Cmd
	var said []*bytes.Buffer
	for range 8 {
		cmd, out := child(t, u.hub.URL, home, 1<<40)
		all, said = append(all, cmd), append(said, out)
	}
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, said[i])
		}
	}
	u.right(t, home)
	sound(t, filepath.Dir(home), nil)
	for name, n := range u.fetched {
		if n != 1 {
			t.Errorf("%s was downloaded %d times, want once", name, n)
		}
	}
}
