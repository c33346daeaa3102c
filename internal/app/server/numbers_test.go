//go:build linux

package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/openai"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/mini"
)

// The benchmarks of this file measure what serving costs beside the library in the same process, and assert nothing. docs/serve.md,
// Numbers, has the command and what the figures were.

// site is a server at a port of this machine, with a lease of its model.
type site struct {
	*hosted.Lease
	set    *hosted.Set
	server *server.Server
	url    string // of /v1
}

// open serves a model until the benchmark ends.
func open(b *testing.B, o hosted.Options) *site {
	b.Helper()
	set, err := hosted.New(o)
	if err != nil {
		b.Fatal(err)
	}
	s := &site{set: set, server: server.New(set, server.Config{})}
	s.server.Add(openai.New(s.server))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s.url = "http://" + l.Addr().String() + "/v1"
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(ctx, context.Background(), l) }()
	b.Cleanup(func() {
		if s.Lease != nil {
			s.Release()
		}
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := errors.Join(<-done, set.Close(context.Background())); err != nil {
			b.Error(err)
		}
	})
	if s.Lease, err = set.Acquire(context.Background(), "", nil); err != nil {
		b.Fatal(err)
	}
	return s
}

// ask posts a body and tells each event of the answer.
func ask(ctx context.Context, url string, body []byte, event func(data []byte)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: {")); ok {
			event(data)
		}
	}
	return lines.Err()
}

// repeating are options with which every token of an answer is the same one, which is text: the model computes as ever, and each token
// is an event of a stream.
func (s *site) repeating(b *testing.B, tokens int) (o *systemgemma.GenerateOptions, body []byte) {
	b.Helper()
	ids, err := s.Model.Tokenize("a", false)
	if err != nil || len(ids) != 1 {
		b.Fatalf("want one token for the letter a, found %v, %v", ids, err)
	}
	defaults := s.Defaults()
	defaults.Sampling.Rules = systemgemma.RulesLlama
	defaults.Sampling.LogitBias = []systemgemma.Bias{{IDs: ids, Add: 100}}
	defaults.MaxTokens, defaults.IgnoreEOS = tokens, true
	return &defaults, fmt.Appendf(nil, `{"prompt":"Once upon a time","max_tokens":%d,"ignore_eos":true,"logit_bias":{"%d":100},"stream":true}`, tokens, ids[0])
}

// library answers like the body of repeating, and says how many tokens came.
func (s *site) library(o *systemgemma.GenerateOptions) (n int, err error) {
	for e, err := range s.Model.Generate(context.Background(), systemgemma.Prompt{Text: "Once upon a time"}, o) {
		if err != nil {
			return n, err
		}
		if e.Text != "" {
			n++
		}
	}
	return n, nil
}

// overHTTP is library by a request.
func (s *site) overHTTP(body []byte) (n int, err error) {
	err = ask(context.Background(), s.url+"/completions", body, func(data []byte) {
		if !bytes.Contains(data, []byte(`"text":""`)) {
			n++
		}
	})
	return n, err
}

// BenchmarkNumbersFirstToken is the time from a request to the first text of a streamed answer, less that of the library's Chat from the
// call to its first event with text: in turns, with the same conversation, over a connection that stays open. Medians.
func BenchmarkNumbersFirstToken(b *testing.B) {
	s := open(b, hosted.Options{})
	messages := []systemgemma.Message{{Role: "system", Content: "Talk like a pirate."}, {Role: "user", Content: "What is the capital of France?"}}
	body := []byte(`{"messages":[{"role":"system","content":"Talk like a pirate."},{"role":"user","content":"What is the capital of France?"}],"max_tokens":1,"stream":true}`)
	library := func() (first time.Duration) {
		start := time.Now()
		for e, err := range s.Model.Chat(context.Background(), messages, &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{MaxTokens: 1}}) {
			if err != nil {
				b.Fatal(err)
			}
			if e.Text != "" && first == 0 {
				first = time.Since(start)
			}
		}
		return first
	}
	overHTTP := func() (first time.Duration) {
		start := time.Now()
		if err := ask(context.Background(), s.url+"/chat/completions", body, func(data []byte) {
			if first == 0 && bytes.Contains(data, []byte(`"content":"`)) && !bytes.Contains(data, []byte(`"content":""`)) {
				first = time.Since(start)
			}
		}); err != nil {
			b.Fatal(err)
		}
		return first
	}
	var own, all []float64
	for range 20 {
		library()
		overHTTP()
	}
	for b.Loop() {
		x, y := library(), overHTTP()
		if x == 0 || y == 0 {
			b.Fatal("an answer without text")
		}
		own, all = append(own, x.Seconds()*1e3), append(all, y.Seconds()*1e3)
	}
	one, two := systemgemma.SpreadOf(own), systemgemma.SpreadOf(all)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(one.Median, "ms-library")
	b.ReportMetric(two.Median, "ms-http")
	b.ReportMetric(two.Median-one.Median, "ms-added")
}

// otherClient starts numbersClient (TestMain does, by the variable). ask gives it a body, to be posted n times at once, and waits for the number of events.
func otherClient(b *testing.B, url string) (ask func(n int, body []byte) int) {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), clientVariable+"="+url)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	b.Cleanup(func() {
		_ = in.Close() // ends it
		for lines.Scan() {
		}
		if err := cmd.Wait(); err != nil {
			b.Error("client:", err)
		}
	})
	return func(n int, body []byte) int {
		if _, err := fmt.Fprintf(in, "%d %s\n", n, body); err != nil {
			b.Fatal(err)
		}
		if !lines.Scan() {
			b.Fatal("the client has ended")
		}
		n, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "events "))
		if err != nil {
			b.Fatalf("the client said %q", lines.Text())
		}
		return n
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkNumbersTokenCPU is the processor time of this process (getrusage) for answers that a client in another process streams, one of 500
// tokens or 16 of 100 at a time, less that for the same answers of the library: in turns, with one thread, since threads that wait for work use
// time too. The client reads every 20 ms, since one that woke for each token would slow the model down where both share a core. The median of
// the differences; with several streams at a time the model takes less of it, so that it is steadier.
func BenchmarkNumbersTokenCPU(b *testing.B) {
	s := open(b, hosted.Options{Open: systemgemma.Options{Threads: 1}})
	client := otherClient(b, s.url+"/completions")
	for _, c := range []struct{ streams, tokens int }{{1, 500}, {16, 100}} {
		streams, tokens := c.streams, c.tokens
		o, body := s.repeating(b, tokens)
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			library := func() float64 {
				start := cpu(b)
				var all sync.WaitGroup
				for range streams {
					all.Go(func() {
						if n, err := s.library(o); err != nil || n != tokens {
							b.Errorf("want %d tokens, found %d, %v", tokens, n, err)
						}
					})
				}
				all.Wait()
				return float64((cpu(b) - start).Nanoseconds()) / 1e3 / float64(streams*tokens)
			}
			overHTTP := func() float64 {
				start := cpu(b)
				if n := client(streams, body); n < streams*tokens || n > streams*(tokens+1) {
					b.Fatalf("want %d answers of %d tokens, and one event more at most, found %d events", streams, tokens, n)
				}
				return float64((cpu(b) - start).Nanoseconds()) / 1e3 / float64(streams*tokens)
			}
			library()
			overHTTP()
			var own, added []float64
			for b.Loop() {
				for i := range 24 { // whoever is first has no advantage
					var x, y float64
					if i%2 == 0 {
						x, y = library(), overHTTP()
					} else {
						y, x = overHTTP(), library()
					}
					own, added = append(own, x), append(added, y-x)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(systemgemma.SpreadOf(own).Median, "us-library/token")
			b.ReportMetric(systemgemma.SpreadOf(added).Median, "us-added/token")
		})
	}
}

// zeros writes a model of a synthetic shape whose weights are all zero, which computes as long as any other, with Mini's vocabulary.
func zeros(b *testing.B, shape string) (path string) {
	b.Helper()
	c, err := load.SyntheticConfig(shape)
	if err != nil {
		b.Fatal(err)
	}
	small, err := checkpoint.OpenBytes("mini", mini.File())
	if err != nil {
		b.Fatal(err)
	}
	defer small.Close()
	m := &checkpoint.Model{
		Name: "zeros", Config: c, Norms: map[string][]float32{}, Matrices: map[string]checkpoint.MatrixSource{}, Vocab: small.Vocab, EOS: small.EOS,
		ChatTemplate: small.ChatTemplate, SystemMode: small.SystemMode,
	}
	for _, p := range load.Parts(&c) {
		if p.Cols == 0 {
			m.Norms[p.Name] = slices.Repeat([]float32{1}, p.Rows)
			continue
		}
		spec, err := quant.Spec{Layout: quant.W8C}.For(p.Cols)
		if err != nil {
			b.Fatal(err)
		}
		m.Matrices[p.Name] = checkpoint.MatrixSource{Spec: spec, Pack: func(emit func(*quant.Matrix) error) error {
			const rows = 1024 // of a piece: a multiple of what is packed together
			for at := 0; at < p.Rows; at += rows {
				piece, block, err := spec.New(min(rows, p.Rows-at), p.Cols)
				if err != nil {
					return err
				}
				if err := errors.Join(emit(piece), block.Free()); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	path = filepath.Join(b.TempDir(), "zeros.gguf")
	if err := checkpoint.Write(context.Background(), path, m); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkNumbersLarge serves a model of the 2B's shape, or of SYSTEMGEMMA_NUMBERS_SHAPE (tiny, 2b, 9b): int8 weights in a file below the
// temporary folder. Streams is how much longer streams over HTTP take than as many of the library at a time, in turns. Cancel is the
// time from a client's leaving amid a prompt until the sequence and the request's place are free.
func BenchmarkNumbersLarge(b *testing.B) {
	shape := os.Getenv("SYSTEMGEMMA_NUMBERS_SHAPE")
	if shape == "" {
		shape = "2b"
	}
	c, err := load.SyntheticConfig(shape)
	if err != nil {
		b.Fatal(err)
	}
	need := int64(1 << 30)
	for _, p := range load.Parts(&c) {
		need += int64(p.Rows) * int64(p.Cols)
	}
	if machine, _ := systemgemma.ThisMachine(); machine.MemoryAvailable > 0 && machine.MemoryAvailable < need {
		b.Skipf("shape %s: want %.1f GB of memory, found %.1f GB; SYSTEMGEMMA_NUMBERS_SHAPE=tiny takes less", shape, float64(need)/1e9, float64(machine.MemoryAvailable)/1e9)
	}
	path := zeros(b, shape)
	s := open(b, hosted.Options{Models: []string{path}, Resolve: func(string) (hosted.Found, error) { return hosted.Found{Name: "zeros", Path: path}, nil }})
	for _, streams := range []int{1, 8} {
		b.Run(fmt.Sprintf("Streams=%d/shape=%s", streams, shape), func(b *testing.B) { s.throughput(b, streams) })
	}
	b.Run("Cancel/shape="+shape, s.cancel)
}

func (s *site) throughput(b *testing.B, streams int) {
	const tokens = 32
	o, body := s.repeating(b, tokens)
	rate := func(one func() (int, error)) float64 {
		start := time.Now()
		var all sync.WaitGroup
		for range streams {
			all.Go(func() {
				if n, err := one(); err != nil || n != tokens {
					b.Errorf("want %d tokens, found %d, %v", tokens, n, err)
				}
			})
		}
		all.Wait()
		return float64(streams*tokens) / time.Since(start).Seconds()
	}
	library := func() float64 { return rate(func() (int, error) { return s.library(o) }) }
	overHTTP := func() float64 { return rate(func() (int, error) { return s.overHTTP(body) }) }
	library()
	var own, all []float64
	for b.Loop() {
		for i := range 6 { // whoever is first has no advantage
			if i%2 == 0 {
				own = append(own, library())
				all = append(all, overHTTP())
			} else {
				all = append(all, overHTTP())
				own = append(own, library())
			}
		}
	}
	one, two := systemgemma.SpreadOf(own), systemgemma.SpreadOf(all)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(one.Median, "tok/s-library")
	b.ReportMetric(two.Median, "tok/s-http")
	b.ReportMetric(100*(1-two.Median/one.Median), "%-lost")
}

func (s *site) cancel(b *testing.B) {
	var took []float64
	state := func() (computed bool, requests int) {
		m := s.set.Running()[0]
		return m.Load.Running > 0, m.Users - 1 // one is this benchmark's
	}
	for b.Loop() {
		for range 5 {
			body := fmt.Appendf(nil, `{"prompt":[%d%s],"max_tokens":1,"stream":true}`, 200+len(took), strings.Repeat(",100", 3000)) // begins as no other: none of it is known
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() {
				ended <- ask(ctx, s.url+"/completions", body, func([]byte) {})
			}()
			for computed := false; !computed && len(ended) == 0; computed, _ = state() {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Duration(20+37*len(took)%100) * time.Millisecond) // anywhere in a pass
			if computed, _ := state(); !computed {
				b.Fatal("the prompt was read before the client left; want a longer one")
			}
			start := time.Now()
			cancel()
			for computed, requests := state(); computed || requests > 0; computed, requests = state() {
				time.Sleep(200 * time.Microsecond)
			}
			took = append(took, time.Since(start).Seconds()*1e3)
			if err := <-ended; !errors.Is(err, context.Canceled) {
				b.Fatalf("the request ended with %v", err)
			}
		}
	}
	x := systemgemma.SpreadOf(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(x.Median, "ms-median")
	b.ReportMetric(x.Max, "ms-most")
}
