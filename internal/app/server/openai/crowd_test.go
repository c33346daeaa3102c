package openai

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/gate"
)

// stream asks for a chat and gives its text; of those that are to be cut, none.
func stream(client *http.Client, url, body string, cut bool) (text string, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	done := false
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		if cut {
			return "", nil
		}
		if data == "[DONE]" {
			done = true
			continue
		}
		var x chatAnswer
		if err := json.Unmarshal([]byte(data), &x); err != nil {
			return "", fmt.Errorf("%s: %w", data, err)
		}
		for _, c := range x.Choices {
			if c.Delta.Content != nil {
				text += *c.Delta.Content
			}
		}
	}
	if !done {
		return "", fmt.Errorf("a stream without [DONE]")
	}
	return text, nil
}

// Many clients at once, some of whom leave, get the answers that each would get alone, and leave nothing behind.
func TestCrowd(t *testing.T) {
	clients, each := 16, 6
	if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" {
		clients, each = 6, 3
	}
	bodies := make([]string, 12)
	for i := range bodies {
		system := strings.Repeat("Be kind. ", i%4*10)
		bodies[i] = fmt.Sprintf(`{"messages":[{"role":"system","content":"%sTalk like a pirate."},{"role":"user","content":"What is %d?"}],"temperature":%g,"seed":%d,"max_tokens":%d,"stream":true}`,
			system, i, float64(i%3)/2, i+1, 5+7*(i%5))
	}
	want := make([]string, len(bodies))
	s := newServer(t, server.Config{Gate: gate.Options{Parallel: 16, Queue: 1000}})
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	client := web.Client()
	for i, b := range bodies {
		var err error
		if want[i], err = stream(client, web.URL, b, false); err != nil || want[i] == "" {
			t.Fatalf("alone: %q, %v", want[i], err)
		}
	}
	var all sync.WaitGroup
	var compared atomic.Int64
	for c := range clients {
		all.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(c)))
			for range each {
				i := r.IntN(len(bodies))
				cut := r.IntN(10) < 3
				got, err := stream(client, web.URL, bodies[i], cut)
				if err != nil {
					t.Error(err)
				} else if !cut {
					compared.Add(1)
					if got != want[i] {
						t.Errorf("request %d: %q in a crowd, %q alone", i, got, want[i])
					}
				}
			}
		})
	}
	all.Wait()
	if compared.Load() == 0 {
		t.Error("nothing was compared")
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		x := s.Now()
		if x.Requests.Running == 0 && x.Requests.Queued == 0 && len(x.Models) == 1 && x.Models[0].Requests == 0 && x.Models[0].Running == 0 && x.Models[0].Waiting == 0 && x.KV.Pinned == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("left behind: %+v", x)
		}
	}
}

// A client that leaves amid an answer frees its place. Mini may be done before it has left: then it is tried again.
func TestClientLeaves(t *testing.T) {
	s := newServer(t, server.Config{})
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	const body = `{"messages":[{"role":"user","content":"a"}],"ignore_eos":true,"max_tokens":100000,"stream":true,"n":4,"temperature":1}`
	for try := 0; s.Models().Meter().Cancelled.Load() == 0; try++ {
		if try == 50 {
			t.Fatal("no answer was cancelled")
		}
		if _, err := stream(web.Client(), web.URL, body, true); err != nil { // leaves after the first piece
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			x := s.Now()
			if x.Requests.Running == 0 && x.Models[0].Requests == 0 && x.Models[0].Running == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("goes on without its client: %+v", x)
			}
		}
	}
}
