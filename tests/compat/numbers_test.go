//go:build linux

package compat

import (
	"bufio"
	"context"
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
	"syscall"
	"testing"
	"time"
)

// The benchmarks of this file measure the program, and assert nothing. docs/serve.md, Numbers, has the command and what the figures were.

// resident is the memory of a process, in bytes.
func resident(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb * 1024
		}
	}
	b.Fatalf("/proc/%d/status tells no VmRSS", pid)
	return 0
}

// BenchmarkNumbersIdle is the memory of the program, Mini open, beside 10,000 connections that have had an answer and wait.
func BenchmarkNumbersIdle(b *testing.B) {
	const count, files = 10_000, 10_200
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	if limit.Max < files {
		b.Skipf("want %d open files, found a limit of %d: ulimit -Hn %d", files, limit.Max, files)
	}
	if limit.Cur < files {
		limit.Cur = limit.Max // the program does the same when it starts, as all of Go
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			b.Skipf("want %d open files: %v", files, err)
		}
	}
	s := serve(b)
	if code, body, err := post(s.url+"/v1/completions", `{"prompt":"hi","max_tokens":8}`); code != http.StatusOK {
		b.Fatalf("status %d: %s %v", code, body, err)
	}
	address := strings.TrimPrefix(s.url, "http://")
	for b.Loop() {
		before := resident(b, s.pid)
		conns := make([]net.Conn, 0, count)
		for range count {
			c, err := net.Dial("tcp", address)
			if err != nil {
				b.Fatal(err)
			}
			conns = append(conns, c)
			if _, err := io.WriteString(c, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				b.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReaderSize(c, 512), nil)
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
			}
			if err != nil || answer.StatusCode != http.StatusOK || answer.Close {
				b.Fatalf("%+v, %v", answer, err)
			}
		}
		after := resident(b, s.pid)
		for _, c := range conns {
			_ = c.Close()
		}
		b.ReportMetric(before/1e6, "MB-before")
		b.ReportMetric(after/1e6, "MB")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkNumbersStart is the time from the start of the program until /readyz answers.
func BenchmarkNumbersStart(b *testing.B) {
	home := b.TempDir()
	var took []float64
	for b.Loop() {
		took = append(took, startOnce(b, home).Seconds())
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[len(took)/2], "s-median")
	b.ReportMetric(took[len(took)-1], "s-most")
}

func startOnce(b *testing.B, home string) time.Duration {
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "serve", "--listen", address)
	cmd.Env = append(os.Environ(), "HOME="+home, "SYSTEMGEMMA_HOME="+filepath.Join(home, "store"), "HF_HOME="+filepath.Join(home, "hf"))
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		answer, err := client.Get("http://" + address + "/readyz")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(start) > time.Minute {
			b.Fatal("the server was not ready within a minute")
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(start)
	cancel()
	_ = cmd.Wait() // killed
	return took
}
