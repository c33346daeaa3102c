// Package tune finds how many threads, on which processors, and which prefill chunk answer soonest on this machine, and remembers it
// in the store of models. None of these changes a bit of an answer.
//
// It owns what is tried, the judgement, which must be sure before anything but the default is taken, and the profile. It must not
// know how a model computes, nor how a command talks to its user.
package tune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma"
)

const (
	prompt = 128 // tokens of the turn that is measured
	// shortPrompt are those on slow machines.
	shortPrompt = 32
	answer      = 8   // of its answer; weighs as much as usual tokens
	usual       = 128 // tokens of a usual answer

	// whole is the time of a turn beyond which some layers stand for all.
	whole = 5 * time.Second
	// shortest is the time that a measurement should take at least: below, clocks and interrupts count too much.
	shortest = 25 * time.Millisecond

	coresBudget = 25 * time.Second
	chunkBudget = 14 * time.Second
)

// Trials measure one turn of a conversation with a tuning. systemgemma.Trials are such.
type Trials interface {
	Measure(ctx context.Context, t systemgemma.Tuning, prompt, answer int) (prefill, decode time.Duration, err error)
	Layers() (used, all int)
	Close()
}

// Found is an option and what was found of it.
type Found struct {
	systemgemma.Tuning
	Judged
	Prefill float64 `json:"prefill_seconds"` // of the measured prompt, median
	Decode  float64 `json:"decode_seconds"`  // of a token, median
	Chosen  bool    `json:"chosen"`
}

// Report is all that was measured. The first option of each list is the default.
type Report struct {
	Layers    int                `json:"layers"`     // that were measured
	AllLayers int                `json:"all_layers"` // of the model
	Rounds    int                `json:"rounds"`     // of threads and processors; 0: too slow for a judgement
	Cores     []Found            `json:"cores"`      // threads and processors
	Chunks    []Found            `json:"chunks"`     // with the threads and processors that were chosen
	Choice    systemgemma.Tuning `json:"choice"`     // the zero value: the default is as good as any
	Seconds   float64            `json:"seconds"`
}

// Tuner measures. Now is the clock; Trials opens trials of some layers, 0 for all.
type Tuner struct {
	Trials   func(layers int) (Trials, error)
	Now      func() time.Time
	Progress func(text string) // told what is measured; nil: nobody asks
	Context  int               // tokens that the model takes
}

// Run measures in less than a minute.
func (u *Tuner) Run(ctx context.Context, m systemgemma.Machine) (r Report, err error) {
	start := u.Now()
	defer func() { r.Seconds = u.Now().Sub(start).Seconds() }()
	if u.Context < prompt+answer {
		return r, fmt.Errorf("want a model that takes %d tokens, found %d", prompt+answer, u.Context)
	}
	cores := CoreOptions(m)
	z, err := u.size(ctx, len(cores))
	if err != nil {
		return r, err
	}
	defer z.Close()
	r.Layers, r.AllLayers = z.Layers()
	u.tell(fmt.Sprintf("measuring %d choices of threads and processors", len(cores)))
	if r.Cores, r.Rounds, err = u.phase(ctx, z, cores, answer, coresBudget); err != nil {
		return r, err
	}
	r.Choice = chosen(r.Cores)
	if z.prompt < prompt || r.Rounds == 0 || u.Context < 2*prompt {
		return r, nil // chunks are not told apart in that time, or in such prompts
	}
	chunks := ChunkOptions(r.Choice)
	u.tell(fmt.Sprintf("measuring %d prefill chunks", len(chunks)))
	r.Chunks, _, err = u.phase(ctx, z, chunks, 0, chunkBudget)
	if err == nil {
		r.Choice = chosen(r.Chunks)
	}
	return r, err
}

func (u *Tuner) tell(text string) {
	if u.Progress != nil {
		u.Progress(text)
	}
}

// size opens trials of as many layers as leave time for all rounds, and says how long a prompt they take and how often to repeat a turn
// within a measurement. Two layers tell how long all would take; where even they take too long, less is measured.
func (u *Tuner) size(ctx context.Context, options int) (z sized, err error) {
	most := coresBudget / time.Duration(options*(minRounds+2)) // of a turn
	for _, z = range []sized{{layers: 2, prompt: prompt}, {layers: 2, prompt: shortPrompt}, {layers: 1, prompt: shortPrompt}} {
		if err := u.turn(ctx, &z); err != nil {
			return z, err
		}
		if z.took <= most {
			break
		}
		z.Close()
	}
	if z.took > most {
		return z, ErrTooSlow
	}
	used, all := z.Layers()
	layers := all
	// The slowest options take several times as long as the default, so that half of the time is for it.
	if expected := z.took * time.Duration(all) / time.Duration(used); expected > min(whole, most/2) {
		layers = min(max(int(most/2*time.Duration(used)/max(z.took, 1))/2*2, used), all)
	}
	if layers != used {
		z.Close()
		z.layers = layers
		if err := u.turn(ctx, &z); err != nil {
			return z, err
		}
	}
	z.repeat = int(max(1, (shortest+z.took-1)/max(z.took, 1)))
	return z, nil
}

// sized are trials that fit into the time.
type sized struct {
	Trials
	layers, prompt int
	took           time.Duration // for a turn, by default
	repeat         int
}

// turn opens trials of z.layers, or of all if the model has fewer, and measures a turn.
func (u *Tuner) turn(ctx context.Context, z *sized) (err error) {
	if z.Trials, err = u.Trials(z.layers); err != nil {
		return err
	}
	for range 2 { // the first one touches memory
		prefill, decode, err := z.Measure(ctx, systemgemma.Tuning{}, z.prompt, answer)
		if err != nil {
			z.Close()
			return err
		}
		if z.took = prefill + decode; z.took > whole {
			break // no second one is needed to see that
		}
	}
	return nil
}

// phase measures some tunings. Without answers the prompts are twice as long, so that chunks differ.
func (u *Tuner) phase(ctx context.Context, z sized, options []systemgemma.Tuning, answers int, budget time.Duration) (found []Found, rounds int, err error) {
	length := z.prompt
	if answers == 0 {
		length = 2 * prompt
	}
	prefills, decodes := make([][]float64, len(options)), make([][]float64, len(options))
	c, err := compare(ctx, len(options), func(ctx context.Context, option int) (float64, error) {
		var prefill, decode time.Duration
		for range z.repeat {
			p, d, err := z.Measure(ctx, options[option], length, answers)
			if err != nil {
				return 0, err
			}
			prefill, decode = prefill+p, decode+d
		}
		p, d := max(prefill.Seconds(), 1e-9)/float64(z.repeat), 0.0
		if answers > 0 {
			d = decode.Seconds() / float64(z.repeat*answers)
		}
		prefills[option], decodes[option] = append(prefills[option], p), append(decodes[option], d)
		return p + usual*d, nil
	}, budget, u.Now)
	switch {
	case errors.Is(err, ErrTooSlow): // the default stays
		seconds := func(i int) float64 { return prefills[i][0] + usual*decodes[i][0] }
		c = Comparison{}
		for i := range options {
			if len(prefills[i]) == 0 { // nor was there time for this one
				options = options[:i]
				break
			}
			c.Options = append(c.Options, Judged{Seconds: seconds(i), Ratio: seconds(i) / seconds(0)})
		}
	case err != nil:
		return nil, 0, err
	default:
		for i := range options { // without the first round, which touches memory
			prefills[i], decodes[i] = prefills[i][1:], decodes[i][1:]
		}
	}
	for i, o := range options {
		f := Found{Tuning: o, Judged: c.Options[i], Prefill: systemgemma.SpreadOf(prefills[i]).Median, Decode: systemgemma.SpreadOf(decodes[i]).Median}
		f.Chosen = i == c.Best
		found = append(found, f)
	}
	return found, c.Rounds, nil
}

// chosen is the tuning that was.
func chosen(found []Found) systemgemma.Tuning {
	for _, f := range found {
		if f.Chosen {
			return f.Tuning
		}
	}
	return systemgemma.Tuning{}
}

// CoreOptions are the threads and processors to try, the default first: of the fastest kind, and of that and slower ones, all, one
// fewer (one is left to the rest of the system), and half (a thread for each core that has two).
func CoreOptions(m systemgemma.Machine) []systemgemma.Tuning {
	options := []systemgemma.Tuning{{}}
	var set []int
	add := func(threads int, cores []int) {
		t := systemgemma.Tuning{Threads: threads, Cores: cores}
		standard := threads == m.Threads && (len(m.CoreKinds) < 2 || slices.Equal(cores, m.CoreKinds[0]))
		known := slices.ContainsFunc(options, func(o systemgemma.Tuning) bool { return o.Threads == threads && slices.Equal(o.Cores, cores) })
		if threads > 0 && !standard && !known {
			options = append(options, t)
		}
	}
	if len(m.CoreKinds) < 2 {
		for _, n := range []int{m.Threads, m.Threads - 1, m.Threads / 2, m.Threads / 4} {
			add(n, nil)
		}
		return options
	}
	for _, kind := range m.CoreKinds {
		set = slices.Sorted(slices.Values(slices.Concat(set, kind)))
		for _, n := range []int{len(set), len(set) - 1, len(set) / 2} {
			add(n, slices.Clone(set))
		}
	}
	return options
}

// ChunkOptions are the prefill chunks to try with a tuning, the default first.
func ChunkOptions(t systemgemma.Tuning) (options []systemgemma.Tuning) {
	for _, n := range []int{0, 64, 32} {
		o := t
		o.PrefillChunk = n
		options = append(options, o)
	}
	return options
}
