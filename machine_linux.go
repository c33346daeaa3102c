package systemgemma

import (
	"bufio"
	"os"
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
