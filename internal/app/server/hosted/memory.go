package hosted

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// freeMemory is what programs can still take of this machine, or of this process's control group, in bytes. 0: not known.
func freeMemory() int64 {
	machine, _ := systemgemma.ThisMachine() // an error is about kernels
	free := machine.MemoryAvailable
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && (free == 0 || n < free) {
			free = n
		}
	}
	return free
}

// forecast remembers what models will take.
type forecast struct {
	mu    sync.Mutex
	known map[string]*systemgemma.RunForecast // guarded by mu; by path
}

// contexts is how many full contexts a model has memory for, unless that is more than a quarter of all.
const contexts = 8

// of is the memory that a model takes with its keys and values, and the bytes of these that it may have.
func (f *forecast) of(w what, o *systemgemma.Options, limit int64) (need, kv int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, ok := f.known[w.path]
	if !ok {
		if x, err = forecastRun(w.path, o); err != nil {
			return 0, 0, &problem.Error{Status: http.StatusInternalServerError, Param: "model", Message: fmt.Sprintf("model %s can't be opened: %v", w.name, err)}
		}
		if f.known == nil {
			f.known = map[string]*systemgemma.RunForecast{}
		}
		f.known[w.path] = x
	}
	kv = o.KVMemory
	if kv == 0 {
		kv = contexts * x.KVBytes
		if limit > 0 {
			kv = min(kv, max(limit/4, min(x.KVBytes, limit-x.WeightBytes-x.OtherBytes)))
		}
	}
	return x.WeightBytes + x.OtherBytes + kv, kv, nil
}

// forecastRun is the forecast of a model with its draft, whose keys and values are not bounded by KVMemory.
func forecastRun(path string, o *systemgemma.Options) (*systemgemma.RunForecast, error) {
	x, err := systemgemma.ForecastRun(path, o)
	if err != nil || o.Draft == "" {
		return &x, err
	}
	d, err := systemgemma.ForecastRun(o.Draft, nil)
	x.OtherBytes += d.Bytes()
	return &x, err
}

// changed forgets what is known of files that may be others now.
func (f *forecast) changed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = nil
}
