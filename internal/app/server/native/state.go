package native

import (
	"net/http"
	"path/filepath"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// slot is one sequence that is computed. Here they come and go with the requests: there is no fixed number of them.
type slot struct {
	ID         int    `json:"id"`
	Model      string `json:"model"`
	Context    int    `json:"n_ctx"`
	Processing bool   `json:"is_processing"`
}

// slots answers GET /slots: what is computed now, of all open models. With ?fail_on_no_slot=1 the answer is 503 while requests wait.
func (d *dialect) slots(w http.ResponseWriter, r *http.Request) error {
	list, waiting := []slot{}, d.server.Now().Requests.Queued
	for _, m := range d.server.Models().Running() {
		waiting += m.Load.Waiting
		for range m.Load.Running {
			list = append(list, slot{len(list), m.Name, m.Context, true})
		}
	}
	if r.URL.Query().Get("fail_on_no_slot") == "1" && waiting > 0 {
		return problem.New(http.StatusServiceUnavailable, problem.CodeBusy, "want a free slot, found %d requests that wait", waiting)
	}
	return server.Reply(w, http.StatusOK, list)
}

// slotAction refuses what llama.cpp does with a slot's memory: here prompts are known again by themselves, whatever the slot.
func (d *dialect) slotAction(_ http.ResponseWriter, r *http.Request) error {
	switch action := r.URL.Query().Get("action"); action {
	case "save", "restore", "erase":
		return problem.New(http.StatusNotImplemented, problem.CodeUnsupported, "action: %s is not supported: what is known of prompts is shared by all requests, and freed by itself", action)
	default:
		return problem.Invalid("action", "want save, restore or erase, found %.40q", action)
	}
}

// props answers GET /props: what a model is, and what requests get that say nothing. The model is ?model=.
func (d *dialect) props(w http.ResponseWriter, r *http.Request) error {
	lease, err := d.server.Models().Acquire(r.Context(), r.URL.Query().Get("model"), nil)
	if err != nil {
		return err
	}
	defer lease.Release()
	text := func(ids []int32) string {
		s, err := lease.Model.Detokenize(ids)
		if err != nil {
			return ""
		}
		return s
	}
	v := d.server.Config().Version
	x := map[string]any{
		"default_generation_settings": map[string]any{"n_ctx": lease.Model.ContextLength(), "params": settings(*lease.Defaults().Sampling, -1)},
		"total_slots":                 d.server.Config().Gate.Parallel,
		"model_alias":                 lease.Name,
		"model_path":                  filepath.Base(lease.Path), // where it lies is nobody's business outside
		"chat_template":               lease.Info.ChatTemplate,
		"system_mode":                 lease.Info.SystemMode,
		"modalities":                  map[string]bool{"vision": false, "audio": false},
		"bos_token":                   text(bos(lease)),
		"eos_token":                   text(lease.Info.EOS[:min(1, len(lease.Info.EOS))]),
		"build_info":                  "systemgemma " + v.Version,
		"adapters":                    adaptersOf(d, lease),
	}
	return server.Reply(w, http.StatusOK, x)
}

// settings are those of an answer, as llama.cpp names them. maxTokens -1: as many as the context holds.
func settings(s systemgemma.Sampling, maxTokens int) map[string]any {
	or1 := func(x float64) float64 { // what is off here with 0 too
		if x == 0 {
			return 1
		}
		return x
	}
	window := s.PenaltyWindow
	if window == 0 {
		window = -1
	}
	seed := any(s.Seed)
	if s.Seed == 0 {
		seed = -1
	}
	return map[string]any{
		"n_predict": maxTokens, "seed": seed, "temperature": s.Temperature, "top_k": s.TopK, "top_p": or1(s.TopP), "min_p": s.MinP, "typical_p": or1(s.TypicalP),
		"repeat_penalty": or1(s.RepetitionPenalty), "repeat_last_n": window, "presence_penalty": s.PresencePenalty, "frequency_penalty": s.FrequencyPenalty,
		"dry_multiplier": s.DRYMultiplier, "xtc_probability": s.XTCProbability, "top_n_sigma": s.TopNSigma, "mirostat": s.Mirostat,
	}
}
