package parallel

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// bigCores returns those of the allowed processors that belong to the fastest kind, ascending: a loop is as slow as its
// slowest part, and cores of another kind are left to the rest of the program. sys is where sysfs is mounted. It looks, in this
// order, at what Linux says of Arm's kinds of cores (cpu_capacity), of Intel's (cpu_core/cpus), and at top frequencies; cores
// within a tenth of the best are of its kind. Where nothing is said, all are big.
func bigCores(sys string, allowed []int) []int {
	value := func(name string) func(cpu int) int {
		return func(cpu int) int {
			b, err := os.ReadFile(filepath.Join(sys, "devices/system/cpu/cpu"+strconv.Itoa(cpu), name))
			if err != nil {
				return 0
			}
			n, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				return 0
			}
			return n
		}
	}
	if big := fastest(allowed, value("cpu_capacity")); len(big) < len(allowed) {
		return big
	}
	if b, err := os.ReadFile(filepath.Join(sys, "devices/cpu_core/cpus")); err == nil {
		core := parseCPUList(string(b))
		if big := slices.DeleteFunc(slices.Clone(allowed), func(c int) bool { return !slices.Contains(core, c) }); len(big) > 0 {
			return big
		}
	}
	return fastest(allowed, value("cpufreq/cpuinfo_max_freq"))
}

// coreKinds splits the allowed processors into kinds, the fastest one first.
func coreKinds(sys string, allowed []int) (kinds [][]int) {
	for len(allowed) > 0 {
		big := bigCores(sys, allowed)
		kinds = append(kinds, big)
		allowed = slices.DeleteFunc(slices.Clone(allowed), func(c int) bool { return slices.Contains(big, c) })
	}
	return kinds
}

// Kinds are the processors that this process may use, by kind, the fastest kind first; nil where the system does not tell.
func Kinds() [][]int { return coreKinds("/sys", allowedCores()) }

// fastest returns the processors whose figure is within a tenth of the best; all of them if any has none.
func fastest(allowed []int, figure func(cpu int) int) []int {
	best := 0
	figures := make([]int, len(allowed))
	for i, c := range allowed {
		if figures[i] = figure(c); figures[i] <= 0 {
			return allowed
		}
		best = max(best, figures[i])
	}
	var big []int
	for i, c := range allowed {
		if 10*figures[i] >= 9*best {
			big = append(big, c)
		}
	}
	return big
}

// parseCPUList reads the kernel's form "0-3,8,10-11". What does not fit it is passed over.
func parseCPUList(s string) (cpus []int) {
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		first, last, isRange := strings.Cut(part, "-")
		lo, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		hi := lo
		if isRange {
			if hi, err = strconv.Atoi(last); err != nil {
				continue
			}
		}
		for c := lo; c <= hi && c < lo+4096; c++ {
			cpus = append(cpus, c)
		}
	}
	return cpus
}
