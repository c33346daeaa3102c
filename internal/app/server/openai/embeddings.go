package openai

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

type embeddingList struct {
	Object string         `json:"object"` // list
	Data   []embedding    `json:"data"`
	Model  string         `json:"model"`
	Usage  embeddingUsage `json:"usage"`
	Note   string         `json:"note"`
}

type embedding struct {
	Object string `json:"object"` // embedding
	Index  int    `json:"index"`
	Vector any    `json:"embedding"` // numbers, or base64 of little-endian float32
}

type embeddingUsage struct {
	Prompt int `json:"prompt_tokens"`
	Total  int `json:"total_tokens"`
}

const embeddingNote = "Gemma 2 was not trained to embed: these are hidden states, of the last norm; texts with like vectors are often, not always, alike"

// embeddings answers POST /v1/embeddings.
func (d *dialect) embeddings(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	format, found, err := f.Text("encoding_format")
	if err != nil {
		return err
	}
	if found && format != "float" && format != "base64" {
		return f.Invalid("encoding_format", "want float or base64, found %.40q", format)
	}
	pooling, _, err := f.Text("pooling")
	if err != nil {
		return err
	}
	if pooling != "" && pooling != string(systemgemma.PoolMean) && pooling != string(systemgemma.PoolLast) {
		return f.Invalid("pooling", "want mean or last, found %.40q", pooling)
	}
	dimensions, hasDimensions, err := f.Int("dimensions", 1, math.MaxInt32)
	if err != nil {
		return err
	}
	raw, _ := f.Raw("input")
	name, _, err := f.Text("model")
	if err != nil {
		return err
	}
	lease, err := d.server.Models().Acquire(r.Context(), name, nil)
	if err != nil {
		return err
	}
	defer lease.Release()
	if size := lease.Info.Config.HiddenSize; hasDimensions && dimensions != size {
		return problem.Unsupported("dimensions", "want %d, which is all that this model has: a part of it means nothing; found %d", size, dimensions)
	}
	inputs, err := readInputs(raw, lease.Info.Vocabulary)
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	x := embeddingList{Object: "list", Data: make([]embedding, len(inputs)), Model: lease.Name, Note: embeddingNote}
	counts := make([]int, len(inputs))
	err = sideBySide(r, len(inputs), func(r *http.Request, i int) error {
		vector, n, err := lease.Embed(r.Context(), inputs[i], &systemgemma.EmbedOptions{Pooling: systemgemma.Pooling(pooling)})
		counts[i], x.Data[i] = n, embedding{Object: "embedding", Index: i, Vector: vector}
		if format == "base64" {
			x.Data[i].Vector = encode(vector)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range counts {
		x.Usage.Prompt += n
	}
	x.Usage.Total = x.Usage.Prompt
	return server.Reply(w, http.StatusOK, x)
}

func encode(vector []float32) string {
	b := make([]byte, 0, 4*len(vector))
	for _, v := range vector {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// maxInputs bounds the texts of one request.
const maxInputs = 2048

// readInputs reads a text, a list of texts, a list of ids, or a list of such lists.
func readInputs(raw json.RawMessage, vocabulary int) ([]systemgemma.Prompt, error) {
	var list []json.RawMessage
	if len(raw) > 0 && raw[0] == '"' {
		list = []json.RawMessage{raw}
	} else if raw == nil || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, problem.Invalid("input", "want a text, a list of texts, a list of token ids, or a list of such lists, none of them empty")
	}
	if first := list[0]; first[0] != '"' && first[0] != '[' {
		list = []json.RawMessage{raw}
	}
	if len(list) > maxInputs {
		return nil, problem.Invalid("input", "want at most %d inputs, found %d", maxInputs, len(list))
	}
	var all []systemgemma.Prompt
	for _, x := range list {
		var p systemgemma.Prompt
		if x[0] == '"' {
			if err := json.Unmarshal(x, &p.Text); err != nil || p.Text == "" {
				return nil, problem.Invalid("input", "want texts, none of them empty")
			}
			all = append(all, p)
			continue
		}
		var err error
		if p.IDs, err = option.ParseIDs(x); err != nil {
			return nil, problem.Invalid("input", "%v", err)
		}
		if len(p.IDs) == 0 {
			return nil, problem.Invalid("input", "want lists of token ids, none of them empty")
		}
		for _, id := range p.IDs {
			if int(id) >= vocabulary {
				return nil, problem.Invalid("input", "want token ids of this model, 0 to %d, found %d: a client that counts with OpenAI's tokens must send texts instead "+
					"(langchain: check_embedding_ctx_length=False)", vocabulary-1, id)
			}
		}
		all = append(all, p)
	}
	return all, nil
}
