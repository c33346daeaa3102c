package ollama

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// change is what a new model carries otherwise than the one that it is made of.
type change func(*models.Settings) error

// create answers POST /api/create: a model of another one, or of a GGUF file that was brought as a blob, with a system prompt, parameters,
// messages and so on of its own.
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
	change, err := changes(f)
	if err != nil {
		return err
	}
	for _, x := range []string{"adapters", "quantize", "modelfile", "path"} {
		if raw, found := f.Raw(x); found && string(raw) != `""` && string(raw) != "{}" && string(raw) != "[]" {
			return problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "%s: not supported by this server; systemgemma create makes such a model", x)
		}
	}
	server.Unknown(r, f)
	new, err := localName(name)
	if err != nil {
		return problem.Invalid("model", "%v", err)
	}
	switch {
	case (from == "") == (files == nil || len(files.Rest()) == 0):
		return f.Invalid("", "want from, the name of a model, or files, a GGUF file and the digest of its blob")
	case from != "":
		err = d.createFrom(r, from, new, change)
	default:
		err = d.createOf(r, files, new, change)
	}
	if err != nil {
		return err
	}
	if given && !stream {
		return noted(w)
	}
	out := server.NewLines(w, r)
	defer out.Close()
	return out.Send(status{Status: "success"})
}

// changes reads what a new model carries.
func changes(f *option.Fields) (change, error) {
	system, hasSystem, err := f.Text("system")
	if err != nil {
		return nil, err
	}
	text, _, err := f.Text("template")
	if err != nil {
		return nil, err
	}
	mode := ""
	if text != "" {
		if mode, err = modelfile.Mode(text); err != nil {
			return nil, f.Invalid("template", "%v", err)
		}
	}
	var parameters modelfile.Parameters
	if raw, found := f.Raw("parameters"); found && string(raw) != "null" {
		var ignored []string
		if parameters, ignored, err = modelfile.FromLayer(string(raw)); err != nil {
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
	var turns []modelfile.Message
	for i, m := range messages {
		if m.Role != "system" && m.Role != "user" && m.Role != "assistant" || len(m.Calls) > 0 {
			return nil, f.Invalid("messages", "message %d: want a text of system, user or assistant", i)
		}
		turns = append(turns, modelfile.Message{Role: m.Role, Content: m.Content})
	}
	licences, err := texts(f, "license")
	if err != nil {
		return nil, err
	}
	return func(s *models.Settings) error {
		if hasSystem {
			s.System = system
		}
		if text != "" {
			s.SystemMode, s.Template, s.Unknown = mode, text, ""
		}
		if parameters.Stop != nil {
			s.Parameters.Stop = nil // the new ones count, all of them
		}
		for _, p := range parameters.List() {
			if err := s.Parameters.Set(p[0], p[1]); err != nil {
				return problem.Invalid("parameters", "%v", err)
			}
		}
		if turns != nil {
			s.Messages = turns
		}
		if licences != nil {
			s.Licenses = licences
		}
		return nil
	}, nil
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

// putNew writes what a model carries, before the model itself, which must not be there yet.
func putNew(ctx context.Context, store *models.Store, to string, carried *models.Settings) error {
	if _, err := os.Lstat(to); err == nil {
		return models.ErrExists // before its settings are replaced
	}
	return store.PutSettings(ctx, to, *carried)
}

func (d *dialect) createFrom(r *http.Request, from, name string, change change) error {
	e, err := d.server.Models().Find(from)
	if err != nil {
		return err
	}
	if e.Stored != nil {
		return d.place(r.Context(), e.Stored, name, change)
	}
	if e.Path != systemgemma.Mini {
		return problem.Invalid("from", "%s is not in the server's folder of models; /api/copy gives it a second name", from)
	}
	store, err := d.store()
	if err != nil {
		return err
	}
	carried := &models.Settings{From: systemgemma.Mini}
	if err := change(carried); err != nil {
		return err
	}
	to := store.Path(name, models.FileName(name, systemgemma.DefaultType, models.Version("", d.now())))
	o := models.Origin{Source: systemgemma.Mini, Made: d.now().UTC().Truncate(time.Second)}
	return d.keep(r.Context(), store, name, to, o, func() error {
		if err := putNew(r.Context(), store, to, carried); err != nil {
			return err
		}
		_, err := systemgemma.Convert(r.Context(), systemgemma.Mini, &systemgemma.ConvertOptions{Output: to, NoReport: true})
		return err
	})
}

func (d *dialect) createOf(r *http.Request, files *option.Fields, name string, change change) error {
	names := files.Rest()
	if len(names) != 1 || !strings.HasSuffix(names[0], ".gguf") {
		return problem.Invalid("files", "want one .gguf file, found %d: %.80s", len(names), strings.Join(names, ", "))
	}
	text, _, err := files.Text(names[0])
	if err != nil {
		return err
	}
	at, err := d.blobPath(text)
	if err != nil {
		return err
	}
	if _, err := os.Stat(at); err != nil {
		return problem.Invalid("files", "%s: no such blob is here; bring it by POST /api/blobs/%s", names[0], text)
	}
	if info, err := systemgemma.Describe(at, nil); err != nil || info.Config == nil {
		return problem.Invalid("files", "%s is no model that can be run: want a GGUF file of Gemma 2", names[0])
	}
	store, err := d.store()
	if err != nil {
		return err
	}
	to := store.Path(name, models.FileName(name, "gguf", models.Version("", d.now())))
	o := models.Origin{Source: "upload", SHA256: strings.TrimPrefix(text, "sha256:"), Made: d.now().UTC().Truncate(time.Second)}
	if err := d.keep(r.Context(), store, name, to, o, func() error {
		carried := &models.Settings{}
		if err := change(carried); err != nil {
			return err
		}
		if err := putNew(r.Context(), store, to, carried); err != nil {
			return err
		}
		return models.Place(r.Context(), at, to)
	}); err != nil {
		return err
	}
	return os.Remove(at) // the model has its bytes
}
