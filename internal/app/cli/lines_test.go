package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReadLine(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("a\r\n\n" + strings.Repeat("x", 10000) + "\nlast"))
	for _, want := range []string{"a", "", strings.Repeat("x", 10000), "last"} {
		if line, err := readLine(in, 20000); err != nil || string(line) != want {
			t.Errorf("readLine = %.20q, %v; want %.20q", line, err, want)
		}
	}
	if _, err := readLine(in, 20000); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: error = %v, want %v", err, io.EOF)
	}
}

// A line that is too long is an error of its own, takes no memory, and the next can be read.
func TestReadLineBoundsMemory(t *testing.T) {
	const limit = 100
	in := bufio.NewReader(io.MultiReader(io.LimitReader(endless{}, 10<<20), strings.NewReader("\nnext\n")))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readLine(in, limit)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, errLine) || used > 1<<20 {
		t.Errorf("error = %v after %d bytes of memory; want %v and little memory", err, used, errLine)
	}
	if line, err := readLine(in, limit); err != nil || string(line) != "next" {
		t.Errorf("then readLine = %q, %v; want next", line, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReadAllIsBounded(t *testing.T) {
	if _, err := readAll(endless{}, 1000); err == nil || !strings.Contains(err.Error(), "at most 1000 bytes") {
		t.Errorf("error = %v, want the bound", err)
	}
	if text, err := readAll(strings.NewReader("abc"), 3); text != "abc" || err != nil {
		t.Errorf("readAll = %q, %v; want abc", text, err)
	}
}

type echoRequest struct {
	N *int32 `json:"n"`
}

// Whatever the lines are: one JSON line for each, in order, and the error counts those that failed.
func TestEveryLineHasOneAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom([]string{`{"n":7}`, `{"n":-1}`, `{}`, "[]", "null", "", "{", `{"n":1e99}`}),
			rapid.StringMatching(`[^\n]{0,20}`))).Draw(t, "lines")
		var out bytes.Buffer
		env := &Env{Stdin: strings.NewReader(strings.Join(lines, "\n")), Stdout: &out, Stderr: io.Discard}
		failed := 0
		err := eachLine(context.Background(), env, func(_ context.Context, line int, r *echoRequest) (int, error) {
			if r.N == nil {
				return 0, errors.New("none")
			}
			return line, nil
		})
		answers := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		want := len(lines)
		if want > 0 && lines[want-1] == "" {
			want-- // an end, not a line
		}
		if out.Len() == 0 {
			answers = nil
		}
		if len(answers) != want {
			t.Fatalf("%d answers to %d lines %q: %q", len(answers), want, lines, answers)
		}
		for i, a := range answers {
			var number int
			var fault struct{ Error string }
			switch {
			case json.Unmarshal([]byte(a), &number) == nil:
				if number != i {
					t.Fatalf("answer %d is to line %d", i, number)
				}
			case json.Unmarshal([]byte(a), &fault) != nil || fault.Error == "":
				t.Fatalf("answer %q to %q: want a number or an error", a, lines[i])
			default:
				failed++
			}
		}
		if (err != nil) != (failed > 0) {
			t.Fatalf("error = %v after %d failures", err, failed)
		}
	})
}

func TestIDList(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int // ids; -1: an error
	}{{"2,10,20", 3}, {"2 10\n20", 3}, {"[2]", -1}, {"", -1}, {",", -1}, {"-1", -1}, {"99999999999", -1}, {"1.5", -1}} {
		var l idList
		err := l.UnmarshalText([]byte(c.in))
		if (err != nil) != (c.want < 0) || err == nil && len(l) != c.want {
			t.Errorf("%q: %v, %v; want %d ids", c.in, l, err, c.want)
		}
	}
}
