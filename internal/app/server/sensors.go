package server

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// sensors reads what the system tells of processors and temperatures. What it does not tell is left out.
type sensors struct {
	mu          sync.Mutex
	busy, total uint64 // guarded by mu; clock ticks of all processors, when they were read last
}

func (s *sensors) fill(x *Status) {
	x.Temperatures = temperatures("/sys/class/thermal")
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		x.CPU.Load = loads(string(text))
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		x.Memory.Process = resident(string(text))
	}
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		x.CPU.Busy = s.share(string(text))
	}
}

// loads reads /proc/loadavg.
func loads(text string) (list []float64) {
	for _, f := range strings.Fields(text)[:min(3, len(strings.Fields(text)))] {
		x, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return nil
		}
		list = append(list, x)
	}
	return list
}

// resident reads /proc/self/statm, which counts pages.
func resident(text string) int64 {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return n * int64(os.Getpagesize())
}

// share reads /proc/stat, and says how busy the processors have been since the last time. nil: not known yet.
func (s *sensors) share(text string) *float64 {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[0] != "cpu" {
		return nil
	}
	var busy, total uint64
	for i, f := range fields[1:min(len(fields), 9)] { // guest time is part of user time
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return nil
		}
		total += n
		if i != 3 && i != 4 { // idle, waiting for a disk
			busy += n
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lastBusy, lastTotal := s.busy, s.total
	s.busy, s.total = busy, total
	if lastTotal == 0 || total <= lastTotal || busy < lastBusy {
		return nil
	}
	x := float64(busy-lastBusy) / float64(total-lastTotal)
	return &x
}

// temperatures reads the zones below a folder such as /sys/class/thermal.
func temperatures(dir string) []Temperature {
	list := []Temperature{}
	files, _ := filepath.Glob(filepath.Join(dir, "thermal_zone*", "temp")) // the pattern is well formed
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		milli, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil || milli < -50_000 || milli > 250_000 {
			continue
		}
		name := filepath.Base(filepath.Dir(f))
		if kind, err := os.ReadFile(filepath.Join(filepath.Dir(f), "type")); err == nil {
			name = strings.TrimSpace(string(kind))
		}
		list = append(list, Temperature{name, float64(milli) / 1000})
	}
	return list
}
