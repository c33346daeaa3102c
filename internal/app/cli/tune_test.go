package cli

import (
	"bytes"
	"context"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/tune"
)

// What tune found is used, flags count more, and the answer is the same.
func TestTunedOptions(t *testing.T) {
	home := t.TempDir()
	env := &Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Getenv: func(k string) string {
		if k == "SYSTEMGEMMA_HOME" {
			return home
		}
		return ""
	}}
	store, err := env.store()
	if err != nil {
		t.Fatal(err)
	}
	machine, err := systemgemma.ThisMachine()
	if err != nil {
		t.Fatal(err)
	}
	f := found{path: systemgemma.Mini}
	if got := tunedOptions(env, f, &systemgemma.Options{}); !reflect.DeepEqual(got, &systemgemma.Options{}) {
		t.Errorf("nothing was tuned: %+v", got)
	}
	choice := systemgemma.Tuning{Threads: 3, PrefillChunk: 5}
	if len(machine.CoreKinds) > 0 {
		choice.Cores = machine.CoreKinds[0][:1]
	}
	if err := tune.Save(store, f.path, machine, choice, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ o, want systemgemma.Options }{
		{systemgemma.Options{KVType: "f32"}, systemgemma.Options{KVType: "f32", Threads: 3, Cores: choice.Cores, PrefillChunk: 5}},
		{systemgemma.Options{Threads: 1}, systemgemma.Options{Threads: 1, PrefillChunk: 5}},
		{systemgemma.Options{PrefillChunk: 9}, systemgemma.Options{Threads: 3, Cores: choice.Cores, PrefillChunk: 9}},
	} {
		if got := tunedOptions(env, f, &c.o); !reflect.DeepEqual(got, &c.want) {
			t.Errorf("%+v: %+v, want %+v", c.o, got, c.want)
		}
	}
	answer := func() string {
		var out bytes.Buffer
		env := *env
		env.Stdin, env.Stdout = strings.NewReader(""), &out
		if s := Main(context.Background(), []string{"run", "--system", "Talk like a pirate.", "What is the capital of France?"}, &env); s != 0 {
			t.Fatalf("status %d", s)
		}
		return out.String()
	}
	with := answer()
	if !tune.Forget(store, f.path) {
		t.Error("no profile to forget")
	}
	if without := answer(); with != without || with == "" {
		t.Errorf("tuned: %q, not tuned: %q", with, without)
	}
}

func TestTuningText(t *testing.T) {
	for want, x := range map[string]systemgemma.Tuning{
		"the default":                                            {},
		"3 threads on processors any":                            {Threads: 3},
		"7 threads on processors 0-6,9":                          {Threads: 7, Cores: []int{0, 1, 2, 3, 4, 5, 6, 9}},
		"1 threads on processors 4, prefill chunks of 64 tokens": {Threads: 1, Cores: []int{4}, PrefillChunk: 64},
	} {
		if got := tuningText(x); got != want {
			t.Errorf("%+v: %q, want %q", x, got, want)
		}
	}
}
