package parallel

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// write makes a file of a made-up sysfs.
func write(t *testing.T, sys, name, text string) {
	t.Helper()
	path := filepath.Join(sys, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBigCores(t *testing.T) {
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	perCPU := func(name string, values ...int) func(*testing.T, string) {
		return func(t *testing.T, sys string) {
			for c, v := range values {
				write(t, sys, "devices/system/cpu/cpu"+strconv.Itoa(c)+"/"+name, strconv.Itoa(v)+"\n")
			}
		}
	}
	for _, c := range []struct {
		name    string
		sys     func(*testing.T, string)
		allowed []int
		want    []int
	}{
		{"nothing known", func(*testing.T, string) {}, all, all},
		{"RK3588: four A55, four A76", perCPU("cpu_capacity", 530, 530, 530, 530, 1024, 1024, 1024, 1024), all, []int{4, 5, 6, 7}},
		{"two of the big ones allowed", perCPU("cpu_capacity", 530, 530, 530, 530, 1024, 1024, 1024, 1024), []int{0, 5, 6}, []int{5, 6}},
		{"none of the big ones allowed", perCPU("cpu_capacity", 530, 530, 530, 530, 1024, 1024, 1024, 1024), []int{0, 1}, []int{0, 1}},
		{"equal ones", perCPU("cpu_capacity", 1024, 1024, 1024, 1024, 1024, 1024, 1024, 1024), all, all},
		{"Intel hybrid", func(t *testing.T, sys string) { write(t, sys, "devices/cpu_core/cpus", "0-3,6\n") }, all, []int{0, 1, 2, 3, 6}},
		{"frequencies", perCPU("cpufreq/cpuinfo_max_freq", 1800000, 1800000, 2400000, 2350000), []int{0, 1, 2, 3}, []int{2, 3}},
		{"favoured cores are of the same kind", perCPU("cpufreq/cpuinfo_max_freq", 5000000, 5200000), []int{0, 1}, []int{0, 1}},
		{"nonsense", perCPU("cpu_capacity", -1, 5), []int{0, 1}, []int{0, 1}},
	} {
		sys := t.TempDir()
		c.sys(t, sys)
		if got := bigCores(sys, c.allowed); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCoreKinds(t *testing.T) {
	sys := t.TempDir()
	for c, v := range []int{530, 530, 1024, 1000, 760} {
		write(t, sys, "devices/system/cpu/cpu"+strconv.Itoa(c)+"/cpu_capacity", strconv.Itoa(v))
	}
	if got := coreKinds(sys, []int{0, 1, 2, 3, 4}); !slices.EqualFunc(got, [][]int{{2, 3}, {4}, {0, 1}}, slices.Equal) {
		t.Errorf("kinds %v", got)
	}
	if got := coreKinds(t.TempDir(), []int{0, 1}); !slices.EqualFunc(got, [][]int{{0, 1}}, slices.Equal) {
		t.Errorf("nothing known: kinds %v", got)
	}
	if got := coreKinds(sys, nil); got != nil {
		t.Errorf("no processor: kinds %v", got)
	}
}

// A crew stays where it is told, and does the same work.
func TestNewOn(t *testing.T) {
	allowed := allowedCores()
	if allowed == nil {
		t.Skip("not run here: this system does not tell which processors may be used")
	}
	for _, cores := range [][]int{allowed[:1], allowed, nil} {
		c := NewOn(3, cores)
		var seen [100]bool
		if err := c.Run(len(seen), 1, func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				seen[i] = true
			}
		}); err != nil {
			t.Error(err)
		}
		if slices.Contains(seen[:], false) {
			t.Errorf("on %v: work was left", cores)
		}
		c.Close()
	}
}

func TestParseCPUList(t *testing.T) {
	for s, want := range map[string][]int{"": nil, "3": {3}, "0-2,7\n": {0, 1, 2, 7}, "x,1-y,4": {4}, "5-2": nil} {
		if got := parseCPUList(s); !slices.Equal(got, want) {
			t.Errorf("parseCPUList(%q) = %v, want %v", s, got, want)
		}
	}
	if n := len(parseCPUList("0-999999999")); n > 4096 {
		t.Errorf("a hostile list gave %d processors", n)
	}
}
