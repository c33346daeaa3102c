package systemgemma

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lookAtMemory reads /proc, whose sizes are in KiB. What can't be read stays 0.
func (m *Machine) lookAtMemory() {
	readKiB("/proc/meminfo", map[string]*int64{"MemTotal:": &m.MemoryTotal, "MemAvailable:": &m.MemoryAvailable})
	readKiB("/proc/self/status", map[string]*int64{"VmHWM:": &m.PeakMemory})
}

func readKiB(path string, want map[string]*int64) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || want[fields[0]] == nil {
			continue
		}
		if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
			*want[fields[0]] = n << 10
		}
	}
}

// lookAtCPU reads /proc, which names x86 CPUs, and else the device tree, which names the board.
func (m *Machine) lookAtCPU() {
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); m.CPU == "" && lines.Scan(); {
			if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
			}
		}
	}
	if model, err := os.ReadFile("/proc/device-tree/model"); err == nil && m.CPU == "" {
		m.CPU = strings.TrimRight(string(model), "\x00\n")
	}
}

// cacheBytes is the size of the largest cache of the first processor, 0 if the system does not tell.
func cacheBytes() (most int64) {
	files, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*/size") // the pattern is well formed
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		number, unit := strings.TrimRight(strings.TrimSpace(string(text)), "KM"), int64(1)
		switch {
		case strings.Contains(string(text), "K"):
			unit = 1 << 10
		case strings.Contains(string(text), "M"):
			unit = 1 << 20
		}
		if n, err := strconv.ParseInt(number, 10, 32); err == nil {
			most = max(most, n*unit)
		}
	}
	return most
}

// ResetPeakMemory makes PeakMemory count from now on, and says whether this system can do that.
func ResetPeakMemory() bool {
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) == nil
}
