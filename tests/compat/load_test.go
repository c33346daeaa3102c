package compat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// request is the body of one of a hundred requests: whole or streamed, greedy or drawn, short or long.
func loadRequest(i int) string {
	return fmt.Sprintf(`{"model": "mini", "messages": [{"role": "system", "content": "Answer with %d words."}, {"role": "user", "content": "Tell me about the number %d."}],
		"max_tokens": %d, "temperature": %d, "seed": %d, "stream": %t}`, 1+i%7, i, 4+i%29, i%2, 1+i, i%3 == 0)
}

// answer is the text of an answer, whole or streamed.
func answer(body []byte) (string, error) {
	type choices []struct{ Message, Delta struct{ Content string } }
	var text strings.Builder
	add := func(data []byte) error {
		var x struct {
			Choices choices
			Error   *struct{ Message string }
		}
		if err := json.Unmarshal(data, &x); err != nil {
			return err
		}
		if x.Error != nil {
			return fmt.Errorf("error in the stream: %s", x.Error.Message)
		}
		for _, c := range x.Choices {
			text.WriteString(c.Message.Content + c.Delta.Content)
		}
		return nil
	}
	if !strings.HasPrefix(string(body), "data: ") && !strings.HasPrefix(string(body), ":") {
		return text.String(), add(body)
	}
	done := false
	for line := range strings.Lines(string(body)) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if data == "[DONE]" {
			done = true
		} else if ok {
			if err := add([]byte(data)); err != nil {
				return "", err
			}
		}
	}
	if !done {
		return "", fmt.Errorf("a stream without an end: %q", body)
	}
	return text.String(), nil
}

// ask sends a request as often as it is told to come later.
func askUntil(s server, body string) (string, error) {
	for {
		code, b, err := post(s.url+"/v1/chat/completions", body)
		switch {
		case err != nil:
			return "", err
		case code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests:
			time.Sleep(20 * time.Millisecond)
		case code != http.StatusOK:
			return "", fmt.Errorf("status %d: %s", code, b)
		default:
			return answer(b)
		}
	}
}

// gauge reads a number of /metrics.
func gauge(t *testing.T, s server, name string) float64 {
	t.Helper()
	r, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)`).FindStringSubmatch(b.String())
	if m == nil {
		t.Fatalf("/metrics: no %s", name)
	}
	x, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// 64 clients ask at a time: each answer is the one that its request gets alone, and nothing is left of them.
func TestLoad(t *testing.T) {
	seconds, _ := strconv.Atoi(os.Getenv("SYSTEMGEMMA_LOAD_SECONDS"))
	if seconds == 0 {
		seconds = 5
	}
	const clients, kinds = 64, 100
	s := serve(t)
	alone := make([]string, kinds)
	for i := range alone {
		var err error
		if alone[i], err = askUntil(s, loadRequest(i)); err != nil {
			t.Fatal(err)
		}
	}
	measure := func() (goroutines, files, memory float64) {
		http.DefaultClient.CloseIdleConnections()
		time.Sleep(500 * time.Millisecond)
		return gauge(t, s, "go_goroutines"), gauge(t, s, "process_open_fds"), gauge(t, s, "process_resident_memory_bytes")
	}
	var count, next atomic.Int64
	round := func(d time.Duration) {
		end := time.Now().Add(d)
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for time.Now().Before(end) && !t.Failed() {
					i := int(next.Add(1)*37) % kinds
					got, err := askUntil(s, loadRequest(i))
					if err != nil {
						t.Error(err)
					} else if got != alone[i] {
						t.Errorf("request %d: found %q, alone %q", i, got, alone[i])
					}
					count.Add(1)
				}
			})
		}
		wg.Wait()
	}
	round(time.Duration(seconds) * time.Second / 5) // fills caches and pools
	g0, f0, m0 := measure()
	round(time.Duration(seconds) * time.Second * 4 / 5)
	g1, f1, m1 := measure()
	if g1 > g0+8 || f1 > f0+8 {
		t.Errorf("left behind: goroutines %v -> %v, open files %v -> %v", g0, g1, f0, f1)
	}
	if m1 > m0+64<<20 {
		t.Errorf("memory grew from %.0f to %.0f MB", m0/1e6, m1/1e6)
	}
	t.Logf("%d answers in %d s; goroutines %v -> %v, files %v -> %v, memory %.0f -> %.0f MB", count.Load(), seconds, g0, g1, f0, f1, m0/1e6, m1/1e6)
}
