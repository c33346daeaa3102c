package hosted

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

func newSet(t *testing.T, o Options) *Set {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func acquire(t *testing.T, s *Set, name string) *Lease {
	t.Helper()
	l, err := s.Acquire(context.Background(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

// copies makes files of a store that all are Mini.
func copies(t *testing.T, names ...string) *models.Store {
	t.Helper()
	s := &models.Store{Home: t.TempDir()}
	m, err := os.ReadFile("../../../mini/mini.gguf")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		path := s.Path(n, models.FileName(filepath.Base(n), "w8a8", "local-20261129"))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, m, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestNames(t *testing.T) {
	store := copies(t, "me/one", "me/two", "you/two")
	s := newSet(t, Options{Store: store, Aliases: map[string]string{"gpt-4o": "me/one"}})
	for name, want := range map[string]string{
		"": "mini", "mini": "mini", "mini:latest": "mini", "one": "one-", "me/one": "one-", "me/one:latest": "one-", "one:w8a8": "one-", "gpt-4o": "one-", "gpt-4o:latest": "one-",
		"two": "may be any of", "me/two": "two-", "three": "is not here", "mini:other": "is not here", store.Home: "is not here", "../one": "is not here", strings.Repeat("x", 300): "at most 200",
	} {
		w, err := s.names.find(name)
		got := filepath.Base(w.path)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%.40q: %q, want %q", name, got, want)
		}
	}
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name+strings.Join(e.Aliases, "+"))
		if e.Err != nil || e.Info.Config == nil || e.Bytes == 0 {
			t.Errorf("%s: %+v", e.Name, e)
		}
	}
	if got := strings.Join(names, " "); got != "mini me/onegpt-4o me/two you/two" {
		t.Errorf("list: %s", got)
	}
	if err := s.SetAlias("bad alias", "mini"); err == nil {
		t.Error("an alias with a space is taken")
	}
	if err := s.SetAlias("x", "nothing"); err == nil {
		t.Error("an alias of nothing is taken")
	}
	for _, o := range []Options{{Models: []string{"nothing"}}, {Models: []string{"2b"}, Store: store}, {Aliases: map[string]string{"a": "b"}}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v: want an error", o)
		}
	}
}

// What was tuned for a model is how it is opened.
func TestTuned(t *testing.T) {
	s := newSet(t, Options{Open: systemgemma.Options{Threads: 1}, Tuned: func(path string, o *systemgemma.Options) *systemgemma.Options {
		with := *o
		with.PrefillChunk = 5 + len(path)
		return &with
	}})
	var got systemgemma.Options
	inner := s.open
	s.open = func(name string, o *systemgemma.Options) (*systemgemma.Model, error) {
		got = *o
		return inner(name, o)
	}
	l, err := s.Acquire(context.Background(), "mini", nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	if got.PrefillChunk < 5 || got.Threads != 1 || got.KVMemory == 0 {
		t.Errorf("opened with %+v", got)
	}
}

// However many ask at once, a model is opened once, and stays until the last has gone.
func TestOpenedOnce(t *testing.T) {
	s := newSet(t, Options{KeepAlive: time.Nanosecond})
	var opened atomic.Int32
	inner := s.open
	s.open = func(name string, o *systemgemma.Options) (*systemgemma.Model, error) {
		opened.Add(1)
		time.Sleep(20 * time.Millisecond) // let all of them come
		return inner(name, o)
	}
	hold := make(chan struct{})
	var all, in sync.WaitGroup
	for range 20 {
		in.Add(1)
		all.Go(func() {
			l, err := s.Acquire(context.Background(), "mini", nil)
			in.Done()
			if err != nil {
				t.Error(err)
				return
			}
			<-hold
			if l.Model.ContextLength() == 0 || l.Info.Config == nil {
				t.Error("the model is not there")
			}
			l.Release()
			l.Release() // again does nothing
		})
	}
	in.Wait()
	if r := s.Running(); len(r) != 1 || r[0].Users != 20 || opened.Load() != 1 || s.Used() == 0 {
		t.Errorf("%d opened, running %+v, used %d", opened.Load(), r, s.Used())
	}
	close(hold)
	all.Wait()
	until(t, "closed when idle", func() bool { return len(s.Running()) == 0 && s.Used() == 0 })
	acquire(t, s, "").Release() // and opens again
	if opened.Load() != 2 {
		t.Errorf("opened %d times, want 2", opened.Load())
	}
}

func TestKeepAlive(t *testing.T) {
	s := newSet(t, Options{})
	forever, none := -time.Second, time.Duration(0)
	l, err := s.Acquire(context.Background(), "mini", &forever)
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	if r := s.Running(); len(r) != 1 || !r[0].Expires.IsZero() || r[0].Users != 0 {
		t.Errorf("for ever: %+v", r)
	}
	acquire(t, s, "mini").Release()
	if r := s.Running(); len(r) != 1 || time.Until(r[0].Expires) < 4*time.Minute {
		t.Errorf("by default: %+v", r)
	}
	if l, err = s.Acquire(context.Background(), "mini", &none); err != nil {
		t.Fatal(err)
	}
	if err := s.Unload("mini"); err != nil || len(s.Running()) != 1 {
		t.Errorf("unload in use: %v", err) // stays until it is released
	}
	l.Release()
	until(t, "closed at once", func() bool { return len(s.Running()) == 0 })
	acquire(t, s, "mini").Release()
	if err := s.Unload("mini:latest"); err != nil {
		t.Fatal(err)
	}
	until(t, "unloaded", func() bool { return len(s.Running()) == 0 })
	if s.Unload("mini") != nil || s.Unload("nothing") == nil {
		t.Error("unloading what is not open is fine, what is not there is not")
	}
}

// What nobody uses makes room; what is used does not; what can't fit is refused with the numbers.
func TestMemory(t *testing.T) {
	store := copies(t, "me/one", "me/two", "me/three")
	f, err := systemgemma.ForecastRun("", nil)
	if err != nil {
		t.Fatal(err)
	}
	each := f.Bytes()
	s := newSet(t, Options{Store: store, Memory: 2*each + each/2, Open: systemgemma.Options{KVMemory: f.KVBytes}})
	one, two := acquire(t, s, "one"), acquire(t, s, "two")
	if s.Used() != 2*each {
		t.Errorf("used %d, want %d", s.Used(), 2*each)
	}
	_, err = s.Acquire(context.Background(), "three", nil)
	var p *problem.Error
	if !errors.As(err, &p) || p.Status != 503 || p.RetryAfter == 0 || !strings.Contains(p.Message, "left beside the models in use") {
		t.Errorf("no room: %v", err)
	}
	two.Release()
	one.Release()
	again := acquire(t, s, "one") // two is now the one that was used least recently
	acquire(t, s, "three").Release()
	var names []string
	for _, r := range s.Running() {
		names = append(names, r.Name)
	}
	if got := strings.Join(names, " "); got != "one three" || s.Used() != 2*each {
		t.Errorf("open are %s, %d bytes", got, s.Used())
	}
	again.Release()

	tight := newSet(t, Options{Memory: each / 2, Open: systemgemma.Options{KVMemory: f.KVBytes}})
	if _, err := tight.Acquire(context.Background(), "", nil); !errors.As(err, &p) || p.Status != 503 || p.RetryAfter != 0 || !strings.Contains(p.Message, "--memory") {
		t.Errorf("too large: %v", err)
	}
}

// Who leaves while a model is being opened does not wait for it; if nobody else wants it, it is closed again.
func TestNobodyWaits(t *testing.T) {
	s := newSet(t, Options{})
	started, goOn := make(chan struct{}), make(chan struct{})
	inner := s.open
	s.open = func(name string, o *systemgemma.Options) (*systemgemma.Model, error) {
		close(started)
		<-goOn
		return inner(name, o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := s.Acquire(ctx, "mini", nil)
		done <- err
	}()
	<-started
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(goOn)
	until(t, "closed again", func() bool { return s.Used() == 0 })
}

// A file that can't be opened is an error for all who wait, and is tried again later.
func TestOpenFails(t *testing.T) {
	s := newSet(t, Options{})
	inner := s.open
	s.open = func(string, *systemgemma.Options) (*systemgemma.Model, error) { return nil, errors.New("secret path") }
	var p *problem.Error
	if _, err := s.Acquire(context.Background(), "mini", nil); !errors.As(err, &p) || p.Status != 500 || strings.Contains(p.Message, "secret") {
		t.Errorf("%v", err)
	}
	s.open = inner
	acquire(t, s, "mini").Release()
}

func TestAnswersAreCounted(t *testing.T) {
	s := newSet(t, Options{})
	l := acquire(t, s, "")
	defer l.Release()
	messages := []systemgemma.Message{{Role: "user", Content: "Hello"}}
	o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{MaxTokens: 5, IgnoreEOS: true}}
	for _, err := range l.Chat(context.Background(), messages, o) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range l.Chat(context.Background(), messages, o) {
		break // wants no more
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range l.Chat(ctx, messages, o) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	long := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{IgnoreEOS: true, MaxTime: time.Microsecond}}
	for e, err := range l.Chat(context.Background(), messages, long) {
		if err != nil || e.Result != nil && e.Result.FinishReason != systemgemma.FinishLength {
			t.Errorf("out of time: %v, %+v", err, e.Result)
		}
	}
	var p *problem.Error
	for _, err := range l.Chat(context.Background(), []systemgemma.Message{{Role: "robot"}}, o) {
		if !errors.As(err, &p) || p.Status != 400 {
			t.Errorf("a wrong role: %v", err)
		}
	}
	ids := make([]int32, l.Model.ContextLength()+1)
	for _, err := range l.Generate(context.Background(), systemgemma.Prompt{IDs: ids}, nil) {
		if p = problem.Of(err); p.Status != 400 || p.Code != problem.CodeContextLength {
			t.Errorf("too long: %v", err)
		}
	}
	m := s.Meter()
	if m.Answers.Load() != 2 || m.Cancelled.Load() != 2 || m.Failed.Load() != 2 || m.Tokens.Load() < 5 || m.PromptTokens.Load() == 0 {
		t.Errorf("answers %d, cancelled %d, failed %d, tokens %d, prompt %d", m.Answers.Load(), m.Cancelled.Load(), m.Failed.Load(), m.Tokens.Load(), m.PromptTokens.Load())
	}
}
