package cli

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// Wrong use of bench gives exit status 2 before anything is measured.
func TestBenchWrongUse(t *testing.T) {
	for _, args := range []string{
		"--synthetic 3b", "--synthetic tiny -m mini", "-m mini --type bf16", "--type w9", "--prefill x", "--depth=-1", "--threads 0", "--threads 2000", "--repeat 0",
		"--decode=-1", "--prefill 0 --decode 0", "--kv-type f8", "now",
	} {
		p := newProcess("")
		if status := p.run(t, append([]string{"bench"}, strings.Fields(args)...)...); status != 2 || p.out.Len() > 0 {
			t.Errorf("bench %s: status %d, output %q, want 2 and none", args, status, p.out.String())
		}
	}
}

// notice is a writer that tells when a text has been written.
type notice struct {
	io.Writer
	text string
	then func()
}

func (n *notice) Write(b []byte) (int, error) {
	if strings.Contains(string(b), n.text) {
		n.then()
	}
	return n.Writer.Write(b)
}

// Ctrl-C ends a long measurement with status 130; what was measured stands.
func TestBenchInterrupted(t *testing.T) {
	p := newProcess("")
	signals := make(chan os.Signal, 1)
	p.Interrupts = signals
	var at time.Time
	p.Stdout = &notice{&p.out, "int8_peak", func() {
		time.AfterFunc(300*time.Millisecond, func() { at = time.Now(); signals <- os.Interrupt })
	}}
	status := p.run(t, "bench", "--synthetic", "tiny", "--depth", "4096", "--repeat", "1000", "--threads", "1", "--json")
	if late := time.Since(at); status != 130 || late > 10*time.Second {
		t.Errorf("status %d, %v after the interrupt, want 130 at once; %s", status, late, p.err.String())
	}
	if !strings.HasPrefix(p.out.String(), `{"test":"read_bandwidth"`) || strings.Contains(p.out.String(), "memory") {
		t.Errorf("output %q, want what had been measured", p.out.String())
	}
}
