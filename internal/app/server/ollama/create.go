package ollama

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// create answers POST /api/create: a model, in the place of one of that name, of another one, or of files that were brought as blobs, with a system prompt, parameters,
// messages, adapters and so on of its own, and weights of another type if that is wanted.
func (d *dialect) create(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	name, err := wanted(f)
	if err != nil {
		return err
	}
	stream, given, err := f.Bool("stream")
	if err != nil {
		return err
	}
	from, _, err := f.Text("from")
	if err != nil {
		return err
	}
	files, err := f.Object("files")
	if err != nil {
		return err
	}
	adapters, err := f.Object("adapters")
	if err != nil {
		return err
	}
	c := &creation{d: d}
	if c.says, err = changes(f); err != nil {
		return err
	}
	if c.quantize, err = quantization(f); err != nil {
		return err
	}
	for _, x := range []string{"modelfile", "path"} {
		if raw, found := f.Raw(x); found && string(raw) != `""` {
			return problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "%s: not supported by this server; systemgemma create makes such a model", x)
		}
	}
	server.Unknown(r, f)
	if c.name, err = localName(name); err != nil {
		return problem.Invalid("model", "%v", err)
	}
	alias, err := d.usable(name, c.name)
	if err != nil {
		return err
	}
	if (from == "") == (files == nil || len(files.Rest()) == 0) {
		return f.Invalid("", "want from, the name of a model, or files, a GGUF file or those of a safetensors model, and the digests of their blobs")
	}
	return d.told(w, r, !given || stream, func(t *teller) error {
		c.teller = t
		defer c.clear()
		if from != "" {
			e, err := d.server.Models().Find(from)
			if err != nil {
				return err
			}
			if err := c.ofModel(&e); err != nil {
				return err
			}
		} else if err := c.ofFiles(r.Context(), files); err != nil {
			return err
		}
		if err := c.adapt(r.Context(), adapters); err != nil {
			return err
		}
		if err := c.make(r.Context()); err != nil || !alias {
			return err
		}
		return d.server.Models().SetAlias(name, "")
	})
}

// quantization is the type of weights that a new model shall have; "": that of its source.
func quantization(f *option.Fields) (string, error) {
	for _, name := range []string{"quantize", "quantization"} { // as old clients call it
		text, _, err := f.Text(name)
		if err != nil {
			return "", err
		}
		if text == "" {
			continue
		}
		for _, typ := range systemgemma.WeightTypes() {
			if strings.EqualFold(text, typ) {
				return typ, nil
			}
		}
		return "", problem.Unsupported(name, "%.40q can't be made here, though K-quants such as q4_K_M can be read; want one of %s", text, strings.Join(systemgemma.WeightTypes(), ", "))
	}
	return "", nil
}

// changes reads what a new model carries otherwise than its source, as a Modelfile would say it.
func changes(f *option.Fields) (*modelfile.File, error) {
	x := &modelfile.File{}
	var given bool
	var err error
	if x.System, given, err = f.Text("system"); err != nil {
		return nil, err
	}
	x.NoSystem = given && x.System == ""
	if x.Template, _, err = f.Text("template"); err != nil {
		return nil, err
	}
	if x.Template != "" {
		if _, err := modelfile.Mode(x.Template); err != nil {
			return nil, f.Invalid("template", "%v", err)
		}
	}
	if raw, found := f.Raw("parameters"); found && string(raw) != "null" {
		var ignored []string
		if x.Parameters, ignored, err = modelfile.FromLayer(string(raw)); err != nil {
			return nil, f.Invalid("parameters", "%v", err)
		}
		if len(ignored) > 0 {
			return nil, problem.Unsupported("parameters", "%s can't be honoured by this server; want it left out", strings.Join(ignored, ", "))
		}
	}
	messages, err := readMessages(f)
	if err != nil {
		return nil, err
	}
	for i, m := range messages {
		if m.Role != "system" && m.Role != "user" && m.Role != "assistant" || len(m.Calls) > 0 {
			return nil, f.Invalid("messages", "message %d: want a text of system, user or assistant", i)
		}
		x.Messages = append(x.Messages, modelfile.Message{Role: m.Role, Content: m.Content})
	}
	x.Licenses, err = texts(f, "license")
	return x, err
}

// texts is a text or a list of texts.
func texts(f *option.Fields, name string) (list []string, err error) {
	raw, found := f.Raw(name)
	if !found || string(raw) == "null" {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil, f.Invalid(name, "want a text or a list of texts")
	}
	return list, nil
}
