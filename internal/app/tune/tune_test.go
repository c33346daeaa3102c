package tune

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// fake is a machine with a clock of its own.
type fake struct {
	now    time.Time
	layers int // of the model
	noise  *rand.Rand
	spread float64
	drift  float64 // how much slower the machine gets in a minute
	// cost is how long a tuning needs for a token of a prompt and of an answer, of one layer.
	cost func(t systemgemma.Tuning) (prefill, decode time.Duration)
	err  error
}

func (f *fake) tuner() *Tuner {
	return &Tuner{Context: 8192, Now: func() time.Time { return f.now }, Trials: func(layers int) (Trials, error) {
		if layers == 0 || layers > f.layers {
			layers = f.layers
		}
		return &fakeTrials{f, layers}, nil
	}}
}

type fakeTrials struct {
	*fake
	used int
}

func (t *fakeTrials) Layers() (int, int) { return t.used, t.layers }
func (t *fakeTrials) Close()             {}

func (t *fakeTrials) Measure(_ context.Context, tuning systemgemma.Tuning, prompt, answer int) (prefill, decode time.Duration, err error) {
	p, d := t.cost(tuning)
	slow := 1 + t.drift*t.now.Sub(time.Time{}).Minutes()
	noisy := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * slow * (1 + t.spread*t.noise.ExpFloat64()))
	}
	prefill, decode = noisy(p*time.Duration(prompt*t.used)), noisy(d*time.Duration(answer*t.used))
	t.now = t.now.Add(prefill + decode)
	return prefill, decode, t.err
}

// bigLittle is an RK3588: four fast processors and four slow ones.
var bigLittle = systemgemma.Machine{CPUs: 8, Threads: 4, CoreKinds: [][]int{{4, 5, 6, 7}, {0, 1, 2, 3}}}

func same(prefill, decode time.Duration) func(systemgemma.Tuning) (time.Duration, time.Duration) {
	return func(systemgemma.Tuning) (time.Duration, time.Duration) { return prefill, decode }
}

func run(t *testing.T, f *fake, m systemgemma.Machine) Report {
	t.Helper()
	if f.noise == nil {
		f.noise = rand.New(rand.NewPCG(1, 1))
	}
	begin := f.now
	r, err := f.tuner().Run(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	if took := f.now.Sub(begin); took > time.Minute || r.Seconds != took.Seconds() {
		t.Errorf("it took %v, and says %v s", took, r.Seconds)
	}
	return r
}

// Where nothing is better, nothing is chosen: however noisy, and while the machine gets slower.
func TestNothingIsChosenWhereNothingIsBetter(t *testing.T) {
	wrong := 0
	const trials = 300
	for i := range uint64(trials) {
		f := &fake{layers: 26, noise: rand.New(rand.NewPCG(i, 7)), spread: []float64{0, 0.02, 0.3}[i%3], drift: []float64{0, 0.5}[i%2], cost: same(20*time.Microsecond, 100*time.Microsecond)}
		if r := run(t, f, bigLittle); !reflect.DeepEqual(r.Choice, systemgemma.Tuning{}) {
			wrong++
		}
	}
	if wrong > trials/50 {
		t.Errorf("%d of %d times something was chosen among equals", wrong, trials)
	}
}

// What is better by more than the noise is found, on the whole model and on some layers, and the best one of several.
func TestTheBestIsChosen(t *testing.T) {
	for _, unit := range []time.Duration{time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond} {
		f := &fake{layers: 26, spread: 0.02, cost: func(t systemgemma.Tuning) (time.Duration, time.Duration) {
			p, d := 20*unit, 100*unit
			switch {
			case t.Threads == 3 && len(t.Cores) == 4:
				d = d * 80 / 100
			case t.Threads == 7:
				d = d * 90 / 100
			}
			if t.PrefillChunk == 64 {
				p = p * 85 / 100
			}
			return p, d
		}}
		r := run(t, f, bigLittle)
		want := systemgemma.Tuning{Threads: 3, Cores: []int{4, 5, 6, 7}, PrefillChunk: 64}
		if !reflect.DeepEqual(r.Choice, want) {
			t.Errorf("%v a unit: %+v, want %+v\n%+v", unit, r.Choice, want, r)
		}
		if some := r.Layers < r.AllLayers; some != (unit > time.Microsecond) || r.AllLayers != 26 || r.Layers < 2 {
			t.Errorf("%v a unit: %d of %d layers", unit, r.Layers, r.AllLayers)
		}
		for _, list := range [][]Found{r.Cores, r.Chunks} {
			n := 0
			for _, x := range list {
				if x.Low > x.Ratio || x.High < x.Ratio || x.Better && x.High >= 1 {
					t.Errorf("%+v", x)
				}
				if x.Chosen {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d chosen", n)
			}
		}
	}
}

// A gain of less than 1 % is not worth a setting, however sure it is.
func TestSmallGainsAreLeft(t *testing.T) {
	f := &fake{layers: 4, cost: func(t systemgemma.Tuning) (time.Duration, time.Duration) {
		if t.Threads == 3 {
			return 20 * time.Microsecond, 99500 * time.Nanosecond
		}
		return 20 * time.Microsecond, 100 * time.Microsecond
	}}
	if r := run(t, f, bigLittle); r.Choice.Threads != 0 {
		t.Errorf("%+v", r.Choice)
	}
}

// A machine on which even one layer takes minutes keeps the default, and is told in time.
func TestTooSlow(t *testing.T) {
	f := &fake{layers: 46, cost: same(20*time.Millisecond, 30*time.Millisecond)}
	f.noise = rand.New(rand.NewPCG(1, 1))
	r, err := f.tuner().Run(context.Background(), bigLittle)
	if !errors.Is(err, ErrTooSlow) || !reflect.DeepEqual(r.Choice, systemgemma.Tuning{}) {
		t.Errorf("%+v, %v", r, err)
	}
	// One on which only the default is fast enough for a judgement keeps it too.
	f.cost = func(t systemgemma.Tuning) (time.Duration, time.Duration) {
		if t.Threads == 0 {
			return time.Millisecond, time.Millisecond
		}
		return 20 * time.Millisecond, 20 * time.Millisecond
	}
	if r, err = f.tuner().Run(context.Background(), bigLittle); err != nil || r.Rounds != 0 || r.Choice.Threads != 0 || len(r.Cores) < 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if r.Seconds > 60 {
		t.Errorf("it took %v s", r.Seconds)
	}
}

func TestErrorsAndContextsEndIt(t *testing.T) {
	f := &fake{layers: 4, noise: rand.New(rand.NewPCG(1, 1)), cost: same(1, 1), err: errors.New("broken")}
	if _, err := f.tuner().Run(context.Background(), bigLittle); !errors.Is(err, f.err) {
		t.Errorf("err = %v", err)
	}
	u := f.tuner()
	u.Context = 100
	if _, err := u.Run(context.Background(), bigLittle); err == nil {
		t.Error("a model of 100 tokens was measured with 136")
	}
}

func TestCoreOptions(t *testing.T) {
	type T = systemgemma.Tuning
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	big := []int{4, 5, 6, 7}
	for _, c := range []struct {
		m    systemgemma.Machine
		want []T
	}{
		{systemgemma.Machine{Threads: 1}, []T{{}}},
		{systemgemma.Machine{Threads: 2, CoreKinds: [][]int{{0, 1}}}, []T{{}, {Threads: 1}}},
		{systemgemma.Machine{Threads: 16}, []T{{}, {Threads: 15}, {Threads: 8}, {Threads: 4}}},
		{bigLittle, []T{{}, {Threads: 3, Cores: big}, {Threads: 2, Cores: big}, {Threads: 8, Cores: all}, {Threads: 7, Cores: all}, {Threads: 4, Cores: all}}},
	} {
		if got := CoreOptions(c.m); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %+v", c.m, got)
		}
	}
}

// The whole way with a real model and the real clock.
func TestTuneMini(t *testing.T) {
	sample.Skip(t)
	m, err := systemgemma.Open(systemgemma.Mini, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	machine, err := systemgemma.ThisMachine()
	if err != nil {
		t.Fatal(err)
	}
	u := Tuner{Context: m.ContextLength(), Now: time.Now, Trials: func(layers int) (Trials, error) { return m.NewTrials(layers) }}
	r, err := u.Run(context.Background(), machine)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cores) != len(CoreOptions(machine)) || len(r.Chunks) != 3 || r.AllLayers < 1 || r.Layers < 1 {
		t.Errorf("%+v", r)
	}
	for _, f := range append(r.Cores, r.Chunks...) {
		if f.Seconds <= 0 || f.Prefill <= 0 {
			t.Errorf("%+v", f)
		}
	}
	t.Logf("%d rounds in %.1f s, %+v", r.Rounds, r.Seconds, r.Choice)
}

// A profile counts for the file, the machine and the kernels that it was made with, and for nothing else.
func TestProfile(t *testing.T) {
	s := models.Store{Home: t.TempDir()}
	model := filepath.Join(t.TempDir(), "a.gguf")
	if err := os.WriteFile(model, []byte("model"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := systemgemma.Machine{CPU: "fast", CPUs: 8, Kernel: "neon"}
	want := systemgemma.Tuning{Threads: 3, Cores: []int{4, 5, 6, 7}, PrefillChunk: 64}
	for _, path := range []string{model, "mini", systemgemma.SectionName(model, 0, 5)} {
		if Load(s, path, m) != nil {
			t.Errorf("%s: a profile before it was made", path)
		}
		if err := Save(s, path, m, want, time.Now()); err != nil {
			t.Fatal(err)
		}
		if p := Load(s, path, m); p == nil || !reflect.DeepEqual(p.Tuning, want) || p.Date.IsZero() {
			t.Errorf("%s: %+v", path, p)
		}
		for _, other := range []systemgemma.Machine{{CPU: "slow", CPUs: 8, Kernel: "neon"}, {CPU: "fast", CPUs: 4, Kernel: "neon"}, {CPU: "fast", CPUs: 8, Kernel: "i8mm"}} {
			if p := Load(s, path, other); p != nil {
				t.Errorf("%s on %+v: %+v", path, other, p)
			}
		}
	}
	if p := Load(s, "", m); p == nil {
		t.Error("no name does not mean mini")
	}
	if err := os.WriteFile(model, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p := Load(s, model, m); p != nil {
		t.Errorf("for another file: %+v", p)
	}
	if !Forget(s, "mini") || Forget(s, "mini") || Load(s, "mini", m) != nil {
		t.Error("mini's profile was not forgotten once")
	}
}
