package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// nosync is the word by which this program starts itself to become another one: see withoutSync.
const nosync = "nosync"

func main() {
	if len(os.Args) > 1 && os.Args[1] == nosync {
		fmt.Fprintln(os.Stderr, "pullbench:", withoutSync(os.Args[2:])) // on success it does not return
		os.Exit(1)
	}
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "pullbench:", err)
		os.Exit(1)
	}
}

// bench is one measurement.
type bench struct {
	program string
	folder  string // of safetensors, for stream
	dir     string // for what is made, emptied between runs
	rounds  int
	bytes   int64
	models  int
	out     io.Writer
}

func run(args []string, stdout, stderr io.Writer) error {
	b := &bench{out: stdout}
	flags := flag.NewFlagSet("pullbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&b.program, "program", "", "the built systemgemma")
	flags.StringVar(&b.folder, "hf", "", "for stream: a folder with safetensors, from tools/peers/write -format hf")
	dir := flags.String("dir", os.TempDir(), "folder on the disk to measure")
	flags.IntVar(&b.rounds, "rounds", 5, "runs of each program, in turns")
	flags.Int64Var(&b.bytes, "bytes", 2_000_000_000, "size of the file to fetch")
	flags.IntVar(&b.models, "models", 100, "for start: how many models the store has")
	if err := flags.Parse(args); err != nil {
		return err
	}
	what := map[string]func() error{"fetch": b.fetch, "stream": b.stream, "start": b.start}[flags.Arg(0)]
	if what == nil || flags.NArg() != 1 || b.program == "" || b.rounds < 1 {
		return errors.New("want -program FILE and one of fetch, stream, start")
	}
	var err error
	if b.program, err = filepath.Abs(b.program); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(*dir, "pullbench"); err != nil {
		return err
	}
	b.say("%s, %d processors, %s, %s", cpu(), runtime.NumCPU(), runtime.GOARCH, time.Now().UTC().Format(time.DateOnly))
	return errors.Join(what(), os.RemoveAll(b.dir))
}

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format+"\n", args...) }

// cpu names the processor.
func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// cost is what a process took. Peak counts what it has mapped, and not less than what this program has when it starts another one.
type cost struct {
	seconds float64
	peak    int64 // bytes
}

// child runs a program to its end in an environment of its own.
func (b *bench) child(hub string, args ...string) (cost, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{"HOME=" + b.dir, "PATH=" + os.Getenv("PATH"), "SYSTEMGEMMA_HOME=" + filepath.Join(b.dir, "store"),
		"HF_HOME=" + filepath.Join(b.dir, "hf"), "HF_ENDPOINT=" + hub}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := time.Now()
	err := cmd.Run()
	c := cost{seconds: time.Since(begin).Seconds()}
	if err != nil {
		return c, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.peak = int64(u.Maxrss) << 10
	}
	return c, nil
}

// empty removes what a run made; nothing of it needs to reach the disk.
func (b *bench) empty() error {
	return errors.Join(os.RemoveAll(b.dir), os.Mkdir(b.dir, 0o700))
}

// fetch measures a large file that stays as it is against curl -o FILE, in turns, fsync outside the clock of both.
func (b *bench) fetch() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file := newPattern(b.bytes)
	begin := time.Now()
	h, err := newHub(map[string]content{"config.json": text(config), "model.safetensors": file})
	if err != nil {
		return err
	}
	hashing := float64(b.bytes) / time.Since(begin).Seconds()
	server := httptest.NewServer(h)
	defer server.Close()
	b.say("SHA-256 of a file in memory, one thread: %.0f MB/s", hashing/1e6)
	b.say("%5s  %9s  %9s  %5s  %12s", "round", "curl MB/s", "pull MB/s", "ratio", "peak of pull")
	var curls, pulls, ratios []float64
	for i := range b.rounds {
		curl, err := b.child(server.URL, self, nosync, "curl", "-sS", "-f", "-o", filepath.Join(b.dir, "file"),
			server.URL+"/"+repo+"/resolve/main/model.safetensors")
		if err := errors.Join(err, b.empty()); err != nil {
			return err
		}
		pull, err := b.child(server.URL, self, nosync, b.program, "pull", repo, "--type", "source", "--accept-license", "--quiet")
		if err := errors.Join(err, b.empty()); err != nil {
			return err
		}
		c, p := float64(b.bytes)/curl.seconds, float64(b.bytes)/pull.seconds
		curls, pulls, ratios = append(curls, c), append(pulls, p), append(ratios, p/c)
		b.say("%5d  %9.0f  %9.0f  %5.2f  %9.1f MB", i+1, c/1e6, p/1e6, p/c, float64(pull.peak)/1e6)
	}
	b.say("medians: curl %.0f MB/s, pull %.0f MB/s: %.0f %% of curl, %.0f %% of SHA-256; ratio of a round %.2f (%.2f to %.2f)", median(curls)/1e6,
		median(pulls)/1e6, 100*median(pulls)/median(curls), 100*median(pulls)/hashing, median(ratios), slices.Min(ratios), slices.Max(ratios))
	return nil
}

// stream measures the peak memory of a pull that converts while the weights come.
func (b *bench) stream() error {
	h, err := folderHub(b.folder)
	if err != nil {
		return err
	}
	server := httptest.NewServer(h)
	defer server.Close()
	var total int64
	for _, c := range h.files {
		total += c.size()
	}
	c, err := b.child(server.URL, b.program, "pull", repo, "--accept-license", "--quiet")
	if err != nil {
		return err
	}
	b.say("%.2f GB fetched and converted in %.1f s (%.0f MB/s), peak of pull %.1f MB", float64(total)/1e9, c.seconds, float64(total)/1e6/c.seconds, float64(c.peak)/1e6)
	made, err := filepath.Glob(filepath.Join(b.dir, "store", "models", "*", "*", "*.gguf"))
	if err != nil || len(made) != 1 {
		return errors.Join(err, fmt.Errorf("in the store: %q, want one model", made))
	}
	if c, err = b.child(server.URL, b.program, "verify", made[0]); err != nil {
		return err
	}
	b.say("verify of it: %.1f s", c.seconds)
	return nil
}

// start measures what is said without arguments, and list, with many models in the store.
func (b *bench) start() error {
	source := filepath.Join(b.dir, "mini.gguf")
	if _, err := b.child("http://hub.invalid", b.program, "convert", "mini", "-o", source); err != nil {
		return err
	}
	for i := range b.models {
		dir := filepath.Join(b.dir, "store", "models", "bench", fmt.Sprintf("model-%03d", i))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		if err := os.Link(source, filepath.Join(dir, fmt.Sprintf("model-%03d-cpu-w8a8-%08x.gguf", i, i))); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{}, {"list"}, {"version"}} {
		var all []float64
		var peak int64
		for range 4 * b.rounds {
			c, err := b.child("http://hub.invalid", slices.Concat([]string{b.program}, args)...)
			if err != nil {
				return err
			}
			all, peak = append(all, 1000*c.seconds), max(peak, c.peak)
		}
		b.say("%-24s %d models: median %.1f ms (first %.1f, largest of the others %.1f), peak %.1f MB", strings.TrimSpace("systemgemma "+strings.Join(args, " ")), b.models,
			median(all), all[0], slices.Max(all[1:]), float64(peak)/1e6)
	}
	return nil
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// text is a small file.
type text string

func (t text) size() int64 { return int64(len(t)) }

func (t text) send(w io.Writer, from, n int64) error {
	_, err := io.WriteString(w, string(t[from:from+n]))
	return err
}

// config is that of the 2B, by which pull tells what a model is.
const config = `{"architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216,
 "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "query_pre_attn_scalar": 256, "attn_logit_softcapping": 50.0,
 "final_logit_softcapping": 30.0, "sliding_window": 4096, "rope_theta": 10000.0, "rms_norm_eps": 1e-06, "max_position_embeddings": 8192,
 "tie_word_embeddings": true, "hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh", "attention_bias": false, "bos_token_id": 2,
 "eos_token_id": 1, "pad_token_id": 0}`
