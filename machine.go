package systemgemma

import (
	"runtime"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
)

// Machine is what matters about the computer that this process runs on.
type Machine struct {
	OS              string   `json:"os"`
	Arch            string   `json:"arch"`
	CPU             string   `json:"cpu,omitempty"`     // its name, as far as the system knows it
	CPUs            int      `json:"cpus"`              // processors that this process may use
	Threads         int      `json:"threads"`           // that a model uses by default
	CoreKinds       [][]int  `json:"core_kinds"`        // processors by kind, the fastest kind first; null: not known
	Kernel          string   `json:"kernel"`            // set of compute kernels in use
	Kernels         []string `json:"kernels"`           // sets that this CPU has, the best one last
	Untried         []string `json:"untried,omitempty"` // of these, sets that only emulators have run yet
	BF16            string   `json:"bf16"`              // how the preset speed multiplies bfloat16 weights
	MemoryTotal     int64    `json:"memory_total"`      // bytes; 0: not known
	MemoryAvailable int64    `json:"memory_available"`  // bytes that programs could still take; 0: not known
	PeakMemory      int64    `json:"peak_memory"`       // most bytes that this process has held at once; 0: not known
}

// ThisMachine looks at the computer. The error says that SYSTEMGEMMA_KERNEL names a set that this CPU lacks.
func ThisMachine() (Machine, error) {
	m := Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), Threads: parallel.Cores(), CoreKinds: parallel.Kinds(),
		Kernel: kernel.Name(), Kernels: kernel.Names(), Untried: kernel.Untried(), BF16: kernel.Rounded(),
	}
	m.lookAtCPU()
	m.lookAtMemory()
	return m, kernel.Err()
}
