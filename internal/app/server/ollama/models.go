package ollama

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
)

// details describe a model. None of them is empty: clients trip over that.
type details struct {
	Format       string   `json:"format"`
	Family       string   `json:"family"`
	Families     []string `json:"families"`
	Size         string   `json:"parameter_size"`
	Quantization string   `json:"quantization_level"`
}

// listed is a model of /api/tags or /api/ps.
type listed struct {
	Name         string     `json:"name"`
	Model        string     `json:"model"`
	Modified     *time.Time `json:"modified_at,omitempty"`
	Size         int64      `json:"size"`
	Digest       string     `json:"digest"`
	Details      details    `json:"details"`
	Capabilities []string   `json:"capabilities,omitempty"`
	Expires      *time.Time `json:"expires_at,omitempty"`
	VRAM         *int64     `json:"size_vram,omitempty"`
	Context      int        `json:"context_length,omitempty"`
	Own          *listedOwn `json:"systemgemma,omitempty"`
}

// listedOwn is what a listing tells beyond Ollama's form.
type listedOwn struct {
	ID string `json:"id"` // by which /api/delete removes this file and no other; models that the server can't remove have none
}

// capabilities are what every model can do. Tools are offered by prompt and grammar.
var capabilities = []string{"completion", "tools", "embedding"}

// tagged is a name as Ollama's clients know it, which always has a tag.
func tagged(name string) string {
	if strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		return name
	}
	return name + ":latest"
}

func describe(e *hosted.Entry) details {
	x := details{Format: "gguf", Family: "gemma2", Families: []string{"gemma2"}, Size: models.People(e.Info.Parameters), Quantization: "unknown"}
	if e.Info.Format == "huggingface" {
		x.Format = "safetensors"
	}
	if e.Stored != nil && e.Stored.Type != "" {
		x.Quantization = e.Stored.Type
	} else if info, err := systemgemma.Describe(e.Path, nil); err == nil {
		x.Quantization = models.MainType(&info)
	}
	return x
}

// digest tells models apart: the hash of the file where it is known, else one of its name, size and time.
func digest(e *hosted.Entry) string {
	if e.Stored != nil && e.Stored.Origin != nil && len(e.Stored.Origin.SHA256) == 64 {
		return e.Stored.Origin.SHA256
	}
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d", e.Path, e.Bytes, e.Changed.UnixNano())))
}

// tags answers GET /api/tags: all models, also by their aliases, since clients look for the name that they were given.
func (d *dialect) tags(w http.ResponseWriter, _ *http.Request) error {
	all, err := d.server.Models().List()
	if err != nil {
		return err
	}
	list := []listed{}
	for i := range all {
		e := &all[i]
		if e.Err != nil {
			continue // what can't be read can't be run; /v1/models tells of it
		}
		x := listed{Size: e.Bytes, Digest: digest(e), Details: describe(e), Capabilities: capabilities}
		at := e.Changed.UTC()
		x.Modified = &at
		if m := e.Stored; m != nil && m.Ollama == nil && !m.ReadOnly {
			x.Own = &listedOwn{m.ID()}
		}
		for _, name := range append([]string{e.Name}, e.Aliases...) {
			x.Name, x.Model = tagged(name), tagged(name)
			list = append(list, x)
		}
	}
	return server.Reply(w, http.StatusOK, map[string]any{"models": list})
}

// ps answers GET /api/ps: the models that are open.
func (d *dialect) ps(w http.ResponseWriter, _ *http.Request) error {
	list := []listed{}
	for _, m := range d.server.Models().Running() {
		e, err := d.server.Models().Find(m.Name)
		if err != nil {
			e = hosted.Entry{Name: m.Name, Path: m.Path, Info: m.Info} // its file is gone, or another one now
		}
		at := m.Expires.UTC()
		if m.Expires.IsZero() {
			at = d.now().UTC().Add(math.MaxInt64) // in use, or kept for ever: so Ollama tells it
		}
		none := int64(0) // there is no memory of another device
		x := listed{
			Name: tagged(m.Name), Model: tagged(m.Name), Size: m.Bytes, Digest: digest(&e), Details: describe(&e), Expires: &at, VRAM: &none, Context: m.Context,
		}
		list = append(list, x)
	}
	return server.Reply(w, http.StatusOK, map[string]any{"models": list})
}

// shown is the answer of /api/show.
type shown struct {
	Licence      string         `json:"license,omitempty"`
	System       string         `json:"system,omitempty"`
	Modelfile    string         `json:"modelfile"`
	Parameters   string         `json:"parameters"`
	Template     string         `json:"template"`
	Details      details        `json:"details"`
	Info         map[string]any `json:"model_info"`
	Tensors      []tensor       `json:"tensors,omitempty"`
	Capabilities []string       `json:"capabilities"`
	Modified     time.Time      `json:"modified_at"`
	SystemMode   string         `json:"system_mode"`
}

type tensor struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"`
}

// show answers POST /api/show.
func (d *dialect) show(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	name, err := wanted(f)
	if err != nil {
		return err
	}
	verbose, _, err := f.Bool("verbose")
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	e, err := d.server.Models().Find(name)
	if err != nil {
		return err
	}
	info, err := systemgemma.Describe(e.Path, nil)
	if err != nil {
		return err
	}
	carried := &models.Settings{}
	if e.Stored != nil {
		if carried, err = d.server.Models().Store().Settings(e.Stored); err != nil {
			return err
		}
	}
	p := parameters(info.Sampling)
	for _, own := range carried.Parameters.List() {
		if err := p.Set(own[0], own[1]); err != nil {
			return err
		}
	}
	file := carried.Modelfile(e.Name)
	file.Parameters, file.Adapters = p, nil // whose paths are the server's
	if licence := licence(&e); licence != "" && carried.Licenses == nil {
		file.Licenses = []string{licence}
	}
	x := shown{
		Licence: strings.Join(file.Licenses, "\n"), Modelfile: file.String(), System: carried.System, Template: cmp.Or(carried.Template, info.ChatTemplate), Details: describe(&e), Info: facts(&info), Capabilities: capabilities,
		Modified: e.Changed.UTC(), SystemMode: info.SystemMode,
	}
	var lines []string
	for _, pair := range p.List() {
		lines = append(lines, fmt.Sprintf("%-30s %s", pair[0], pair[1]))
	}
	x.Parameters = strings.Join(lines, "\n")
	if verbose {
		for _, t := range info.Tensors {
			x.Tensors = append(x.Tensors, tensor{t.Name, t.Type, t.Shape})
		}
	}
	return server.Reply(w, http.StatusOK, x)
}

// parameters are a model's own, as a Modelfile has them.
func parameters(s *systemgemma.Sampling) (p modelfile.Parameters) {
	if s == nil {
		return p
	}
	p.Temperature = &s.Temperature
	number := func(to **float64, x float64) {
		if x != 0 {
			*to = &x
		}
	}
	number(&p.TopP, s.TopP)
	number(&p.MinP, s.MinP)
	number(&p.RepeatPenalty, s.RepetitionPenalty)
	if s.TopK != 0 {
		p.TopK = &s.TopK
	}
	return p
}

// facts are a model's, as its GGUF file would name them.
func facts(i *systemgemma.Info) map[string]any {
	x := map[string]any{"general.architecture": "gemma2", "general.parameter_count": i.Parameters}
	for k, v := range i.Metadata {
		x[k] = v
	}
	c := i.Config
	if c == nil {
		return x
	}
	for k, v := range map[string]any{
		"context_length": c.MaxPositions, "embedding_length": c.HiddenSize, "block_count": c.NumLayers, "feed_forward_length": c.IntermediateSize,
		"attention.head_count": c.NumHeads, "attention.head_count_kv": c.NumKVHeads, "attention.key_length": c.HeadDim, "attention.value_length": c.HeadDim,
		"attention.layer_norm_rms_epsilon": c.RMSNormEps, "attention.sliding_window": c.SlidingWindow, "attn_logit_softcapping": c.AttnSoftcap,
		"final_logit_softcapping": c.FinalSoftcap, "rope.freq_base": c.RopeTheta, "vocab_size": c.VocabSize,
	} {
		x["gemma2."+k] = v
	}
	return x
}

// licence is what a model's files say of their licence; whoever serves Gemma's weights has to pass its terms on.
func licence(e *hosted.Entry) string {
	l := cmp.Or(e.Info.Metadata["general.license.name"], e.Info.Metadata["general.license"])
	if strings.EqualFold(l, "gemma") || l == "" && e.Stored != nil && strings.HasPrefix(e.Stored.Name, "google/gemma") {
		return "Gemma is provided under and subject to the Gemma Terms of Use found at " + models.TermsURL
	}
	return l
}
