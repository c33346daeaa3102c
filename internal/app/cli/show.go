package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// showCmd is `systemgemma show`.
type showCmd struct {
	Name string `arg:"" optional:"" help:"The model; the same as -m."`
	modelFlag
	Modelfile bool `group:"Output" help:"Write the model as a Modelfile, which create takes again."`
	Tensors   bool `group:"Output" help:"List all tensors."`
	JSON      bool `name:"json" group:"Output" help:"Write one JSON object with all there is."`
}

// Run describes a model.
func (c *showCmd) Run(ctx context.Context, env *Env) error {
	if c.Modelfile && (c.JSON || c.Tensors) {
		return usagef("--modelfile: want no --json and no --tensors beside it")
	}
	if c.JSON && c.Tensors {
		return usagef("--tensors: want no --json beside it, which lists them anyway")
	}
	switch {
	case c.Name != "" && c.Model != "":
		return usagef("show: want MODEL or -m, found both")
	case c.Name != "":
		c.Model = c.Name
	}
	if c.Modelfile {
		return c.modelfile(env)
	}
	i, err := open(ctx, env, c.Model, nil, systemgemma.Describe)
	if err != nil {
		return err
	}
	m, err := resolve(env, c.Model)
	if err != nil {
		return err
	}
	carried, err := m.settings()
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(env, struct {
			systemgemma.Info
			Stored  *models.Model    `json:"stored,omitempty"`
			Licence *models.Licence  `json:"accepted_terms,omitempty"`
			Carries *models.Settings `json:"carries,omitempty"`
		}{i, m.model, m.licence(), nonzero(carried)})
	}
	var b strings.Builder
	showModel(&b, &i)
	showStored(&b, env, &m)
	showSettings(&b, carried)
	showText(&b, &i)
	showMetadata(&b, &i)
	if i.Quality != nil {
		b.WriteString("\nquality, as measured when the file was made\n")
		qualityText(&b, i.Quality, "what it was made of", "this file")
		if c.Tensors {
			tensorsText(&b, i.Quality.Tensors)
		}
	}
	if c.Tensors {
		showTensors(&b, i.Tensors)
	}
	return write(env.Stdout, b.String())
}

func nonzero(s *models.Settings) *models.Settings {
	if s.IsZero() {
		return nil
	}
	return s
}

// modelfile writes what create takes.
func (c *showCmd) modelfile(env *Env) error {
	m, err := resolve(env, c.Model)
	if err != nil {
		return err
	}
	s, err := m.settings()
	if err != nil {
		return err
	}
	from := m.path
	if from == "" {
		from = systemgemma.Mini
	}
	f := s.Modelfile(from)
	if f.Template == "" && s.SystemMode != "" {
		f.Template, _ = modelfile.GoTemplate(s.SystemMode)
	}
	if err := f.Check(); err != nil {
		return fmt.Errorf("show: %w", err)
	}
	return write(env.Stdout, f.String())
}

// licence is the acceptance of the model's terms, nil if there is none.
func (f *found) licence() *models.Licence {
	if f.model == nil {
		return nil
	}
	name := f.model.Name
	if o := f.model.Origin; o != nil && models.CheckName(o.Source) == nil {
		name = o.Source // of a copy too
	}
	return f.store.Licence(name)
}

// showStored tells what the store knows of a model.
func showStored(b *strings.Builder, env *Env, f *found) {
	m := f.model
	if m == nil {
		return
	}
	field(b, "stored", "%s, %s", m.ID(), homePath(env, m.Path))
	if o := m.Origin; o != nil {
		from := o.Source
		if o.File != "" {
			from += "/" + o.File
		}
		if o.Commit != "" {
			from += " at " + o.Commit
		}
		field(b, "from", "%s, %s", from, o.Made.Format(time.DateOnly))
	}
	if l := f.licence(); l != nil {
		field(b, "terms", "%s, accepted %s (%s)", l.URL, l.Date.Format(time.DateOnly), l.By)
	}
	field(b, "last used", "%s", ago(m.Used, time.Now()))
}

// field is one line of a description.
func field(b *strings.Builder, name, format string, args ...any) {
	fmt.Fprintf(b, "%-16s %s\n", name, fmt.Sprintf(format, args...))
}

func showModel(b *strings.Builder, i *systemgemma.Info) {
	field(b, "model", "%s", i.Name)
	field(b, "format", "%s", i.Format)
	if len(i.Tensors) > 0 {
		field(b, "weights", "%d parameters in %d tensors, %s: %s", i.Parameters, len(i.Tensors), size(i.Bytes), typesOf(i.Tensors))
	} else {
		field(b, "weights", "none")
	}
	c := i.Config
	if c == nil {
		return
	}
	field(b, "layers", "%d, hidden size %d, intermediate size %d", c.NumLayers, c.HiddenSize, c.IntermediateSize)
	field(b, "attention", "%d heads on %d KV heads of %d, soft cap %g, sliding window %d in %d of %d layers", c.NumHeads, c.NumKVHeads, c.HeadDim,
		c.AttnSoftcap, c.SlidingWindow, len(c.LayerTypes)-count(c.LayerTypes, "full_attention"), c.NumLayers)
	field(b, "context", "%d tokens, RoPE theta %g", c.MaxPositions, c.RopeTheta)
	tied := "own head"
	if c.TieEmbeddings {
		tied = "tied head"
	}
	field(b, "output", "%d logits, soft cap %g, %s", c.VocabSize, c.FinalSoftcap, tied)
}

// typesOf counts tensors by type.
func typesOf(tensors []systemgemma.TensorInfo) string {
	n := map[string]int{}
	for _, t := range tensors {
		n[t.Type]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%d %s", n[name], name))
	}
	return strings.Join(parts, ", ")
}

func count(list []string, want string) (n int) {
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

func showText(b *strings.Builder, i *systemgemma.Info) {
	if i.Vocabulary > 0 {
		field(b, "tokenizer", "%d tokens, end tokens %s", i.Vocabulary, strings.Trim(fmt.Sprint(i.EOS), "[]"))
	} else {
		field(b, "tokenizer", "none")
	}
	field(b, "system mode", "%s (%s)", i.SystemMode, i.SystemModeReason)
	template := "none"
	if i.ChatTemplate != "" {
		template = fmt.Sprintf("%d bytes (--json shows it)", len(i.ChatTemplate))
	}
	field(b, "chat template", "%s", template)
	if s := i.Sampling; s != nil {
		field(b, "sampling", "%s", samplingText(s))
	}
	if g := i.Generation; g != nil {
		generationText(b, g)
	}
}

// samplingText names the steps that do anything.
func samplingText(s *systemgemma.Sampling) string {
	text := "greedy"
	if s.Temperature != 0 {
		text = fmt.Sprintf("temperature %g", s.Temperature)
		for _, x := range []struct {
			name       string
			value, off float64
		}{{"top-k", float64(s.TopK), 0}, {"top-p", s.TopP, 1}, {"min-p", s.MinP, 0}} {
			if x.value != 0 && x.value != x.off {
				text += fmt.Sprintf(", %s %g", x.name, x.value)
			}
		}
	}
	if s.RepetitionPenalty != 0 && s.RepetitionPenalty != 1 {
		text += fmt.Sprintf(", repetition penalty %g", s.RepetitionPenalty)
	}
	return text + moreSampling(s)
}

// moreSampling names what else is on.
func moreSampling(s *systemgemma.Sampling) (text string) {
	for _, x := range []struct {
		name  string
		value float64
		off   float64
	}{
		{"typical-p", s.TypicalP, 1}, {"epsilon-cutoff", s.EpsilonCutoff, 0}, {"eta-cutoff", s.EtaCutoff, 0}, {"top-h", s.TopH, 0},
		{"encoder repetition penalty", s.EncoderRepetitionPenalty, 1}, {"no-repeat-ngram size", float64(s.NoRepeatNgram), 0}, {"decay factor", s.DecayFactor, 1},
		{"decay start", float64(s.DecayStart), 0}, {"forced first token", float64(s.ForcedBOS), 0},
	} {
		if x.value != 0 && x.value != x.off {
			text += fmt.Sprintf(", %s %g", x.name, x.value)
		}
	}
	for _, x := range []struct {
		name string
		n    int
	}{{"bad words", len(s.BadWordIDs)}, {"sequence biases", len(s.SequenceBias)}, {"suppressed tokens", len(s.Suppress)}, {"tokens suppressed at the beginning", len(s.BeginSuppress)}, {"forced end tokens", len(s.ForcedEOS)}} {
		if x.n > 0 {
			text += fmt.Sprintf(", %d %s", x.n, x.name)
		}
	}
	return text
}

// generationText tells what the files say about answers besides the sampling.
func generationText(b *strings.Builder, g *systemgemma.GenerationInfo) {
	var parts []string
	if g.MaxTokens > 0 {
		parts = append(parts, fmt.Sprintf("max-tokens %d", g.MaxTokens))
	}
	if g.MinTokens > 0 {
		parts = append(parts, fmt.Sprintf("min-tokens %d", g.MinTokens))
	}
	if g.MaxTime > 0 {
		parts = append(parts, fmt.Sprintf("max-time %g s", g.MaxTime))
	}
	for _, s := range g.Stop {
		parts = append(parts, fmt.Sprintf("stop %q", s))
	}
	if parts != nil {
		field(b, "answers", "%s", strings.Join(parts, ", "))
	}
	if g.Left != nil {
		field(b, "not used", "%s (in the files; ask for it by name)", strings.Join(g.Left, ", "))
	}
}

// showMetadata shows what people ask for: name, licence and provenance.
func showMetadata(b *strings.Builder, i *systemgemma.Info) {
	more := 0
	for _, name := range slices.Sorted(maps.Keys(i.Metadata)) {
		short, ok := strings.CutPrefix(name, "systemgemma.provenance.")
		if general, found := strings.CutPrefix(name, "general."); found {
			short, ok = general, true
		}
		if !ok {
			more++
			continue
		}
		field(b, short, "%s", strings.ReplaceAll(i.Metadata[name], "\n", "\n"+strings.Repeat(" ", 17)))
	}
	if more > 0 {
		field(b, "metadata", "%d more entries (--json shows them)", more)
	}
	for _, n := range i.Notes {
		field(b, "note", "%s", n)
	}
}

func showTensors(b *strings.Builder, tensors []systemgemma.TensorInfo) {
	b.WriteString("\n")
	for _, t := range tensors {
		shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(t.Shape), "[]"), " ", " x ")
		fmt.Fprintf(b, "%-36s %-6s %16s %12d bytes\n", t.Name, t.Type, shape, t.Bytes)
	}
}

// writeJSON writes a whole description.
func writeJSON(env *Env, x any) error {
	e := json.NewEncoder(env.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(x)
}
