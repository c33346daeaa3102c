package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/mini"
	"github.com/systemgemma/systemgemma/internal/testkit/poordisk"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// The process of TestKilled converts until it is killed.
func TestMain(m *testing.M) {
	if err := poordisk.Enter(os.Getenv(poordisk.Variable)); err != nil {
		panic(err)
	}
	if out := os.Getenv("CONVERT_UNTIL_KILLED"); out != "" {
		c := parallel.New(2)
		if err := miniJob(c, out, nil).Run(context.Background(), c); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// mixedKinds has kinds whose scales are known last among others.
func mixedKinds() Kinds {
	nf4, w4, bf16, w8, q8 := must("nf4"), must("w4"), must("bf16"), must("w8a8-g64"), must("q8_0")
	return Kinds{Type: w4, Embedding: &q8, Head: &w8, Rules: []Rule{{regexp.MustCompile("ffn"), nf4}, {regexp.MustCompile(`blk\.1\.ffn_up`), bf16}}}
}

// miniJob converts the embedded model in many small pieces.
func miniJob(c *parallel.Crew, out string, progress func(Progress)) *Job {
	ck, err := checkpoint.OpenBytes("mini", mini.File())
	if err != nil {
		panic(err)
	}
	plan, err := Own(ck, &Options{Kinds: mixedKinds(), Name: "test"})
	if err != nil {
		panic(err)
	}
	return &Job{Source: ck, Outputs: []Output{{Path: out, Format: plan}}, Memory: 200 << 10, Progress: progress}
}

func must(name string) quant.Spec {
	s, err := quant.ParseSpec(name)
	if err != nil {
		panic(err)
	}
	return s
}

// whole is the file that an uninterrupted conversion makes.
func whole(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "whole.gguf")
	c := crew(t, 3)
	if err := miniJob(c, out, nil).Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Verify(context.Background(), out, nil); err != nil {
		t.Fatal(err)
	}
	return read(t, out)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// names lists a folder.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// Work that is stopped anywhere, again and again, ends in the bytes of work that is not, and is not done twice.
func TestInterruptedWorkGoesOn(t *testing.T) {
	sample.Skip(t)
	want := whole(t)
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		out := filepath.Join(dir, "out.gguf")
		var last Progress
		for try := 0; ; try++ {
			if try > 50 {
				t.Fatal("50 attempts, and no end")
			}
			ctx, cancel := context.WithCancel(context.Background())
			stop, c := r.IntN(40), parallel.New(1+r.IntN(3))
			var first Progress
			err := miniJob(c, out, func(p Progress) {
				if first == (Progress{}) {
					first = p
				}
				last = p
				if p.Done > p.Resumed {
					if stop--; stop < 0 {
						cancel()
					}
				}
			}).Run(ctx, c)
			c.Close()
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if got := names(t, dir); !slices.Equal(got, []string{"out.gguf.partial", "out.gguf.partial.journal"}) {
				t.Fatalf("seed %d: an interrupted conversion left %v", seed, got)
			}
			damage(t, r, out)
		}
		if last.Done != last.Total || last.Resumed == 0 {
			t.Errorf("seed %d: the last attempt ended at %+v", seed, last)
		}
		if !bytes.Equal(read(t, out), want) || !slices.Equal(names(t, dir), []string{"out.gguf"}) {
			t.Errorf("seed %d: resumed work gave other bytes, or left files: %v", seed, names(t, dir))
		}
	}
}

// damage does to the leftovers what a loss of power can do: lost data and a cut line in the journal.
func damage(t *testing.T, r *rand.Rand, out string) {
	t.Helper()
	if r.IntN(2) == 0 {
		return
	}
	data := read(t, out+partialSuffix)
	at := r.IntN(len(data))
	clear(data[at:min(at+4096, len(data))])
	journal := read(t, out+journalSuffix)
	for path, b := range map[string][]byte{out + partialSuffix: data, out + journalSuffix: journal[:max(100, len(journal)-r.IntN(30))]} {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// kill -9 at any moment leaves work that goes on.
func TestKilled(t *testing.T) {
	sample.Skip(t)
	if testing.Short() {
		t.Skip("starts processes")
	}
	want := whole(t)
	r := rand.New(rand.NewPCG(7, 8))
	dir := t.TempDir()
	out := filepath.Join(dir, "out.gguf")
	kills := 0
	for end := time.Now().Add(4 * time.Second); kills < 12 && time.Now().Before(end); {
		p := exec.Command(os.Args[0])
		p.Env = append(os.Environ(), "CONVERT_UNTIL_KILLED="+out)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(r.IntN(150))*time.Millisecond, func() { _ = p.Process.Kill() })
		err := p.Wait()
		timer.Stop()
		if err == nil {
			if !bytes.Equal(read(t, out), want) {
				t.Fatalf("after %d kills: other bytes", kills)
			}
			if err := os.Remove(out); err != nil {
				t.Fatal(err)
			}
			continue
		}
		kills++
		if _, err := os.Stat(out); err == nil {
			if !bytes.Equal(read(t, out), want) {
				t.Fatal("a killed conversion left a file under the final name that is not whole")
			}
			if err := os.Remove(out); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := crew(t, 2)
	if err := miniJob(c, out, nil).Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, out), want) || !slices.Equal(names(t, dir), []string{"out.gguf"}) {
		t.Errorf("after %d kills: other bytes, or leftovers: %v", kills, names(t, dir))
	}
	t.Logf("%d kills", kills)
}

// Work with other options, or of another source, starts over and says so.
func TestOtherOptionsStartOver(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.gguf")
	c := crew(t, 2)
	ctx, cancel := context.WithCancel(context.Background())
	if err := miniJob(c, out, func(p Progress) {
		if p.Done > p.Total/2 {
			cancel()
		}
	}).Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	job := miniJob(c, out, nil)
	plan, err := Own(job.Source, &Options{Kinds: mixedKinds(), Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	var notices []string
	var last Progress
	job.Outputs[0].Format = plan
	job.Notice = func(s string) { notices = append(notices, s) }
	job.Progress = func(p Progress) { last = p }
	if err := job.Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "starting over") || last.Resumed != 0 {
		t.Errorf("notices %q, progress %+v", notices, last)
	}
	if err := checkpoint.Verify(context.Background(), out, nil); err != nil {
		t.Error(err)
	}
}

// Two conversions to one file: the second is refused at once, and the first goes on.
func TestSecondConversionIsRefused(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.gguf")
	c := crew(t, 1)
	asked := false
	err := miniJob(c, out, func(Progress) {
		if asked {
			return
		}
		asked = true
		d := parallel.New(1)
		defer d.Close()
		if err := miniJob(d, out, nil).Run(context.Background(), d); !errors.Is(err, ErrBusy) {
			t.Errorf("err = %v, want %v", err, ErrBusy)
		}
	}).Run(context.Background(), c)
	if err != nil || !asked {
		t.Fatal(err)
	}
	if err := checkpoint.Verify(context.Background(), out, nil); err != nil {
		t.Error(err)
	}
}

// On a file system without locks the same holds, and what a process leaves behind that was killed is no obstacle.
func TestWithoutLocks(t *testing.T) {
	sample.Skip(t) // it waits for silence
	if runtime.GOOS != "linux" {
		t.Skip(poordisk.ErrNotHere)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^(TestSecondConversionIsRefused|TestLeftLockIsNoObstacle)$", "-test.v")
	cmd.Env = append(os.Environ(), poordisk.Variable+"=nolocks")
	said, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(said), "--- PASS") != 2 {
		t.Errorf("%v:\n%s", err, said)
	}
}

// A file that stands for a lock and has no holder is taken over, and nothing is left of it.
func TestLeftLockIsNoObstacle(t *testing.T) {
	if os.Getenv(poordisk.Variable) == "" {
		t.Skip("run by TestWithoutLocks")
	}
	out := filepath.Join(t.TempDir(), "out.gguf")
	if err := os.WriteFile(out+partialSuffix+heldSuffix, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := crew(t, 1)
	if err := miniJob(c, out, nil).Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(out + "?*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

// Any journal gives pieces that are checked before they count, and an end within it.
func FuzzJournal(f *testing.F) {
	header := fmt.Sprintf("%s%x\n", journalMagic, identity{})
	f.Add([]byte("token_embd.weight 0 0badcafe\nblk.0.attn_q.weight 16 00000001\n"))
	f.Add([]byte("token_embd.weight 0 0badcafe\nblk.0.att"))
	f.Add([]byte("a -1 zz\n\n\n"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		p := &partial{done: map[pieceID]uint32{}}
		journal := append([]byte(header), lines...)
		if end := p.read(journal, len(header)); end < len(header) || end > len(journal) || end > len(header) && journal[end-1] != '\n' {
			t.Errorf("ends at %d of %d", end, len(journal))
		}
		if len(p.done) > bytes.Count(lines, []byte("\n")) {
			t.Errorf("%d pieces", len(p.done))
		}
	})
}
