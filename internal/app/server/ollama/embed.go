package ollama

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// maxInputs bounds the texts of one request.
const maxInputs = 2048

// embeddingList is the answer of /api/embed.
type embeddingList struct {
	Model     string        `json:"model"`
	Vectors   [][]float32   `json:"embeddings"`
	Total     time.Duration `json:"total_duration,omitempty"`
	Load      time.Duration `json:"load_duration,omitempty"`
	Tokens    int           `json:"prompt_eval_count,omitempty"`
	Extension *extension    `json:"systemgemma,omitempty"`
}

// embedding is a request whose model is open.
type embedding struct {
	*hosted.Lease
	*option.Answer
	name  string
	start time.Time
}

// beginEmbed takes the model and all options from a request. The lease is the caller's to release.
func (d *dialect) beginEmbed(r *http.Request, f *option.Fields) (*embedding, error) {
	e := &embedding{start: d.now()}
	var err error
	if e.name, err = wanted(f); err != nil {
		return nil, err
	}
	keep, err := keepAlive(f)
	if err != nil {
		return nil, err
	}
	dimensions, given, err := f.Int("dimensions", 0, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	if e.Lease, err = d.server.Models().Acquire(r.Context(), e.name, keep); err != nil {
		return nil, err
	}
	if err := e.read(r, f, dimensions, given); err != nil {
		e.Release()
		return nil, err
	}
	return e, nil
}

func (e *embedding) read(r *http.Request, f *option.Fields, dimensions int, given bool) error {
	if size := e.Info.Config.HiddenSize; given && dimensions != size && dimensions != 0 {
		return problem.Unsupported("dimensions", "want %d, which is all that this model has: a part of it means nothing; found %d", size, dimensions)
	}
	e.Answer = option.From(e.Defaults())
	limits := option.Limits{N: 1, Context: e.Model.ContextLength()}
	if err := e.Read(f, option.Ollama, limits); err != nil {
		return err
	}
	options, err := f.Object("options")
	if err != nil || options == nil {
		return err
	}
	if err := e.Read(options, option.Ollama, limits); err != nil {
		return err
	}
	server.Unknown(r, options)
	return nil
}

// vector embeds a text. One that is longer than the context is an error, unless it was asked to be cut.
func (e *embedding) vector(r *http.Request, text string, raw bool) (vector []float32, tokens int, err error) {
	p := systemgemma.Prompt{Text: text}
	if e.Context == systemgemma.ContextDropOldest {
		bos, err := e.Model.Tokenize("<bos>", true)
		if err != nil {
			return nil, 0, problem.OfModel(err)
		}
		ids, err := e.Model.Tokenize(text, false)
		if err != nil {
			return nil, 0, problem.OfModel(err)
		}
		if len(bos) == 1 {
			ids = append(bos, ids...)
		}
		if most := e.Model.ContextLength(); len(ids) > most {
			ids = ids[:most]
			e.Warnings = append(e.Warnings, "a text was cut to the context's length")
		}
		p = systemgemma.Prompt{IDs: ids}
	}
	return e.Embed(r.Context(), p, &systemgemma.EmbedOptions{Raw: raw})
}

// embed answers POST /api/embed: a text or a list of them. None opens the model.
func (d *dialect) embed(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	var texts []string
	if raw, found := f.Raw("input"); found {
		var one string
		if json.Unmarshal(raw, &one) == nil {
			texts = []string{one}
		} else if json.Unmarshal(raw, &texts) != nil {
			return f.Invalid("input", "want a text or a list of texts; a client that counts with its own tokens must send texts instead")
		}
	}
	if len(texts) > maxInputs {
		return f.Invalid("input", "want at most %d texts, found %d", maxInputs, len(texts))
	}
	e, err := d.beginEmbed(r, f)
	if err != nil {
		return err
	}
	defer e.Release()
	server.Unknown(r, f)
	x := embeddingList{Model: e.name, Vectors: [][]float32{}, Load: e.Loading}
	for _, text := range texts {
		if text == "" {
			if len(texts) == 1 {
				break // Ollama's clients open models so
			}
			return f.Invalid("input", "want texts, none of them empty")
		}
		vector, tokens, err := e.vector(r, text, false)
		if err != nil {
			return err
		}
		x.Vectors, x.Tokens = append(x.Vectors, vector), x.Tokens+tokens
	}
	x.Total = d.now().Sub(e.start)
	if len(e.Warnings)+len(e.Ignored) > 0 {
		x.Extension = &extension{Ignored: e.Ignored, Warnings: e.Warnings}
	}
	return server.Reply(w, http.StatusOK, x)
}

// embeddings answers POST /api/embeddings, the older form: one text, its vector not normalised.
func (d *dialect) embeddings(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	text, _, err := f.Text("prompt")
	if err != nil {
		return err
	}
	e, err := d.beginEmbed(r, f)
	if err != nil {
		return err
	}
	defer e.Release()
	server.Unknown(r, f)
	vector := []float32{}
	if text != "" {
		if vector, _, err = e.vector(r, text, true); err != nil {
			return err
		}
	}
	return server.Reply(w, http.StatusOK, map[string]any{"embedding": vector})
}
