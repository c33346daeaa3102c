package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/figures"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// doctorCmd is `systemgemma doctor`.
type doctorCmd struct {
	Name string `arg:"" optional:"" name:"model" complete:"MODEL" help:"Also forecast memory and speed of this model, before it is loaded (run --forecast takes options beside it)."`
	JSON bool   `name:"json" group:"Output" help:"Write one JSON object."`
}

// doctorReport is what doctor --json writes.
type doctorReport struct {
	systemgemma.Machine
	Problem   string       `json:"problem,omitempty"`
	Forecast  *runForecast `json:"forecast,omitempty"`
	Bandwidth float64      `json:"read_bandwidth,omitempty"` // GB/s, measured
	Devices   []device     `json:"devices"`                  // GPUs and NPUs, which are not used
	Bundled   *insideModel `json:"bundled,omitempty"`        // the model inside this program
	Models    []foundModel `json:"models"`                   // in the current folder
	Store     storeReport  `json:"store"`
}

// insideModel is the model that a program made by bundle carries.
type insideModel struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	System string `json:"system,omitempty"`
}

// foundModel is a file or folder that looks like a model, by its name only.
type foundModel struct {
	Path  string `json:"path"`
	Kind  string `json:"kind"`  // gguf or huggingface
	Bytes int64  `json:"bytes"` // of all its files
}

// Run looks around.
func (c *doctorCmd) Run(ctx context.Context, env *Env) error {
	machine, problem := systemgemma.ThisMachine()
	models, err := findModels(".")
	if err != nil {
		return err
	}
	r := doctorReport{Machine: machine, Models: models, Store: lookAtStore(env), Devices: findDevices("/")}
	inside, err := env.bundle()
	if inside != nil {
		r.Bundled = &insideModel{inside.Card.Name, inside.Size, inside.Card.System}
	}
	if problem = errors.Join(problem, err); problem != nil {
		r.Problem = problem.Error()
	}
	if c.Name != "" && problem == nil {
		f, err := forecast(ctx, env, c.Name, &systemgemma.Options{})
		if err != nil {
			return err
		}
		r.Forecast, r.Bandwidth = &f, f.Bandwidth
	} else if problem == nil {
		roof, err := systemgemma.MeasureRoofline(ctx, machine.Threads)
		if err != nil {
			return err
		}
		r.Bandwidth = roof.ReadBandwidth.Median
	}
	if c.JSON {
		return errors.Join(writeJSON(env, r), problem)
	}
	return errors.Join(write(env.Stdout, r.String()), problem)
}

// String is the report for people.
func (r *doctorReport) String() string {
	var b strings.Builder
	field(&b, "system", "%s/%s, %d processors", r.OS, r.Arch, r.CPUs)
	field(&b, "threads", "%d (--threads changes it)", r.Threads)
	for i := len(r.Kernels) - 1; i >= 0; i-- {
		state := "can be forced by SYSTEMGEMMA_KERNEL=" + r.Kernels[i]
		if r.Kernels[i] == r.Kernel {
			state = "in use"
		}
		if slices.Contains(r.Untried, r.Kernels[i]) {
			state += "; tested by emulation, never run on real hardware"
		}
		field(&b, "kernel", "%-14s %s", r.Kernels[i], state)
	}
	field(&b, "bf16", "%s (--preset speed)", r.BF16)
	if r.MemoryTotal > 0 {
		field(&b, "memory", "%s, %s available", size(r.MemoryTotal), size(r.MemoryAvailable))
	} else {
		field(&b, "memory", "not known on this system")
	}
	if r.Bandwidth > 0 {
		row, _ := names.Lookup("2b") // is in the table
		n := float64(row.Parameters) // read for each token, a byte each
		field(&b, "bandwidth", "%.1f GB/s of reading, just measured: 2b in w8a8 (%.1f GB) can answer %.1f tokens/s at best", r.Bandwidth, n/1e9, r.Bandwidth*1e9/n)
	}
	tellDevices(&b, r.Devices)
	if r.Bundled != nil {
		field(&b, "model", "%-14s inside this program (%s), %s; what commands open that name none", bundledName, r.Bundled.Name, size(r.Bundled.Bytes))
	}
	field(&b, "model", "mini           embedded; systemgemma run \"Hello\" uses it")
	for _, m := range r.Models {
		room := ""
		if r.MemoryAvailable > 0 && m.Bytes > r.MemoryAvailable {
			room = ", larger than the available memory"
		}
		field(&b, "model", "%-14s %s, %s%s", m.Path, m.Kind, size(m.Bytes), room)
	}
	if len(r.Models) == 0 {
		field(&b, "model", "none in this folder (a .gguf file, or a folder with config.json)")
	}
	r.Store.tell(&b)
	if r.Forecast != nil {
		b.WriteString("\n" + r.Forecast.String())
	}
	return b.String()
}

// findModels lists what looks like a model in a folder, by name.
func findModels(dir string) ([]foundModel, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	models := []foundModel{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		switch {
		case err != nil: // gone since, or a link to nowhere: no model
		case info.Mode().IsRegular() && strings.EqualFold(filepath.Ext(path), ".gguf"):
			models = append(models, foundModel{path, "gguf", info.Size()})
		case info.IsDir() && exists(filepath.Join(path, "config.json")):
			models = append(models, foundModel{path, "huggingface", folderSize(path)})
		}
	}
	return models, nil
}

// folderSize sums the weights of a Hugging Face folder. What can't be read counts nothing.
func folderSize(dir string) (n int64) {
	files, _ := filepath.Glob(filepath.Join(globEscape.Replace(dir), "*.safetensors")) // the pattern is well formed
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			n += info.Size()
		}
	}
	return n
}

var globEscape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

// size is bytes for people.
func size(bytes int64) string { return figures.Size(bytes) }
