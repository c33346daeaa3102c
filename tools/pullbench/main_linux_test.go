package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The hub gives the bytes that are asked for, whatever the range, and refuses ranges that the file has not.
func TestHubServesRanges(t *testing.T) {
	p := newPattern(3<<20 + 17)
	h, err := newHub(map[string]content{"f": p, "config.json": text(config)})
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if err := p.send(&whole, 0, p.size()); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	defer s.Close()
	for header, want := range map[string][]byte{
		"": whole.Bytes(), "bytes=1048570-1048590": whole.Bytes()[1048570:1048591], "bytes=3145700-": whole.Bytes()[3145700:], "bytes=5-3": nil, "bytes=0-99999999": nil,
	} {
		r, _ := http.NewRequest("GET", s.URL+"/"+repo+"/resolve/main/f", nil)
		if header != "" {
			r.Header.Set("Range", header)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !bytes.Equal(got, want) || (want == nil) != (resp.StatusCode == http.StatusRequestedRangeNotSatisfiable) {
			t.Errorf("%q: %d bytes, status %d, %v; want %d", header, len(got), resp.StatusCode, err, len(want))
		}
	}
}

// A program started without sync is told that fsync worked, also where it can't: of a pipe it fails with EINVAL.
func TestWithoutSync(t *testing.T) {
	if os.Getenv("PULLBENCH_CHILD") != "" {
		if os.Getenv("PULLBENCH_CHILD") == "filtered" {
			os.Setenv("PULLBENCH_CHILD", "sync")
			fmt.Println(withoutSync([]string{os.Args[0], "-test.run=^TestWithoutSync$"}))
		}
		fmt.Println("sync:", os.Stdout.Sync())
		os.Exit(0)
	}
	for how, want := range map[string]string{"sync": "invalid argument", "filtered": "sync: <nil>"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWithoutSync$")
		cmd.Env = append(os.Environ(), "PULLBENCH_CHILD="+how)
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), want) {
			if strings.Contains(string(out), "seccomp") {
				t.Skipf("not run here: seccomp (%s)", out)
			}
			t.Errorf("%s: %v %q, want %q", how, err, out, want)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{}, {"fetch"}, {"-program", "x"}, {"-program", "x", "all"}, {"-program", "x", "fetch", "start"}} {
		if err := run(args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "want -program") {
			t.Errorf("%q: %v, want what is wanted", args, err)
		}
	}
}
