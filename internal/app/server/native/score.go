package native

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// maxContinuations bounds the continuations of one request.
const maxContinuations = 256

// scored is how likely a model finds a continuation.
type scored struct {
	IDs      []int32   `json:"ids"` // the whole sequence
	From     int       `json:"from"`
	Logprobs []float64 `json:"logprobs"` // natural logarithms, of ids[from] and what follows
	Greedy   []bool    `json:"greedy"`   // whether that token is the most likely one
	Sum      float64   `json:"sum"`
}

// score answers POST /score: {"prompt", "continuation"}, texts or ids, or "continuations", several. Without one, all of the prompt after
// its first token is scored. Texts are split as lm-evaluation-harness does: white space at the end of the prompt belongs to the
// continuation.
func (d *dialect) score(w http.ResponseWriter, r *http.Request) error {
	f, lease, err := d.open(r)
	if err != nil {
		return err
	}
	defer lease.Release()
	a := option.From(lease.Defaults())
	prompt, _ := f.Raw("prompt")
	conts, err := continuations(f)
	if err != nil {
		return err
	}
	if err := a.Read(f, option.Llama, option.Limits{N: 1, Context: lease.Model.ContextLength()}); err != nil {
		return err
	}
	adapters, err := lease.Use(a.LoRA)
	if err != nil {
		return err
	}
	list := make([]scored, 0, len(conts))
	for i, c := range conts {
		ids, from, err := sequence(lease, prompt, c, i)
		if err != nil {
			return err
		}
		s, err := lease.Score(r.Context(), ids, from, adapters...)
		if err != nil {
			return err
		}
		x := scored{IDs: ids, From: from, Logprobs: make([]float64, 0, len(s.Logprobs)), Greedy: s.Greedy}
		for _, lp := range s.Logprobs {
			x.Logprobs = append(x.Logprobs, pieces.Clamp(lp))
			x.Sum += pieces.Clamp(lp)
		}
		list = append(list, x)
	}
	return finish(w, r, f, map[string]any{"object": "list", "model": lease.Name, "scores": list})
}

// continuations takes them; one that is nil means none.
func continuations(f *option.Fields) ([]json.RawMessage, error) {
	one, given := f.Raw("continuation")
	list, err := f.List("continuations", "a list of texts, or of lists of token ids")
	switch {
	case err != nil:
		return nil, err
	case given && list != nil:
		return nil, f.Invalid("continuations", "want one name for it, found continuation beside it")
	case given:
		return []json.RawMessage{one}, nil
	case list == nil:
		return []json.RawMessage{nil}, nil
	case len(list) == 0 || len(list) > maxContinuations:
		return nil, f.Invalid("continuations", "want 1 to %d, found %d", maxContinuations, len(list))
	}
	return list, nil
}

// sequence is prompt and continuation as ids, and where the scoring begins.
func sequence(l *hosted.Lease, prompt, continuation json.RawMessage, i int) (ids []int32, from int, err error) {
	var head, tail string
	where := fmt.Sprintf("continuations[%d]", i)
	isText := len(prompt) > 0 && prompt[0] == '"'
	switch {
	case isText && len(continuation) > 0 && continuation[0] == '"':
		if json.Unmarshal(prompt, &head) != nil || json.Unmarshal(continuation, &tail) != nil {
			return nil, 0, problem.Invalid("prompt", "want texts")
		}
		given, err := l.Model.Tokenize(strings.TrimRightFunc(head, unicode.IsSpace), false)
		if err != nil {
			return nil, 0, problem.OfModel(err)
		}
		whole, err := l.Model.Tokenize(head+tail, false)
		if err != nil {
			return nil, 0, problem.OfModel(err)
		}
		ids, from = withBOS(l, whole), len(bos(l))+len(given)
	default:
		if ids, err = mixed(l, "prompt", prompt, false); err != nil {
			return nil, 0, err
		}
		if isText {
			ids = withBOS(l, ids)
		}
		if from = 1; continuation != nil {
			more, err := mixed(l, where, continuation, false)
			if err != nil {
				return nil, 0, err
			}
			from = max(1, len(ids))
			ids = append(ids, more...)
		}
	}
	if from = max(1, from); from >= len(ids) {
		return nil, 0, problem.Invalid(where, "want at least one token to score, after at least one that is given; found %d tokens in all", len(ids))
	}
	return ids, from, nil
}
