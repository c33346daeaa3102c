package chat

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/systemgemma/systemgemma"
)

func TestSet(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"temperature", "0.7", `{"temperature":0.7}`},
		{"top-k", "5", `{"top_k":5}`},
		{"top_k", "5", `{"top_k":5}`},
		{"top-p", "0.9", `{"top_p":0.9}`},
		{"min-p", "0.05", `{"min_p":0.05}`},
		{"repetition-penalty", "1.1", `{"repetition_penalty":1.1}`},
		{"presence-penalty", "-1", `{"presence_penalty":-1}`},
		{"frequency-penalty", "0", `{"frequency_penalty":0}`},
		{"penalty-window", "64", `{"penalty_window":64}`},
		{"xtc-probability", "0.5", `{"xtc_probability":0.5}`},
		{"top-n-sigma", "1", `{"top_n_sigma":1}`},
		{"bad-words", " x", `{"bad_words":[" x"]}`},
		{"logit-bias", "17=-2", `{"logit_bias":["17=-2"]}`},
		{"suppress", "3,4", `{"suppress":[3,4]}`},
		{"samplers", "top_k,temperature", `{"samplers":["top_k","temperature"]}`},
		{"watermark-keys", "1,2", `{"watermark_keys":[1,2]}`},
		{"encoder-repetition-penalty", "1.5", `{"encoder_repetition_penalty":1.5}`},
		{"forced-bos", "2", `{"forced_bos":2}`},
		{"seed", "18446744073709551615", `{"seed":18446744073709551615}`},
		{"max-tokens", "100", `{"max_tokens":100}`},
		{"stop", "a, b", `{"stop":["a, b"]}`},
		{"stop", `"\n\n"`, `{"stop":["\n\n"]}`},
		{"ignore-eos", "true", `{"ignore_eos":true}`},
		{"ignore-eos", "false", `{}`},
		{"lookup", "true", `{"lookup":true}`},
		{"context-overflow", "drop-oldest-turns", `{"context_overflow":"drop-oldest-turns"}`},
		{"system-mode", "merge-nl", `{"system_mode":"merge-nl"}`},
		{"system-mode", "default", `{}`},
	} {
		var s settings
		if err := s.set(c.name, c.value); err != nil {
			t.Errorf("set %s %s: %v", c.name, c.value, err)
		}
		if got := jsonOf(t, &s); got != c.want {
			t.Errorf("set %s %s: settings = %s, want %s", c.name, c.value, got, c.want)
		}
	}
}

func jsonOf(t *testing.T, s *settings) string {
	t.Helper()
	fields, err := s.fields()
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, name := range s.names() {
		key := strings.ReplaceAll(name, "-", "_")
		if v, ok := fields[key]; ok {
			parts = append(parts, `"`+key+`":`+string(v))
		}
	}
	if len(parts) != len(fields) {
		t.Errorf("fields %v: want those that names lists", fields)
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestSetKeepsTheOthers(t *testing.T) {
	var s settings
	for _, x := range [][2]string{{"temperature", "1"}, {"stop", "x"}, {"top-k", "9"}, {"temperature", "2"}, {"top-k", "default"}, {"seed", "3"}} {
		if err := s.set(x[0], x[1]); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := jsonOf(t, &s), `{"temperature":2,"seed":3,"stop":["x"]}`; got != want {
		t.Errorf("settings = %s, want %s", got, want)
	}
}

func TestSetRefuses(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"tempature", "1", `option "tempature": want one of temperature, top-k,`},
		{"help", "1", `option "help": want one of`},
		{"temperature", "hot", `temperature: expected a float but got "hot"`},
		{"temperature", "-1", "temperature: want 0 (greedy) or 1e-6 to 100, found -1"},
		{"temperature", "NaN", "temperature: want"},
		{"top-p", "2", "want"},
		{"samplers", "topk", "order: want penalties, dry,"},
		{"logit-bias", "x", `logit-bias: want TOKEN=NUMBER, found "x"`},
		{"logit-bias", "x=much", "want a number or never after ="},
		{"dry-breakers", "ab", "dry_breakers: want"},
		{"sampler-rules", "ollama", `sampler_rules: want llama or transformers, found "ollama"`},
		{"seed", "-1", "seed: "},
		{"max-tokens", "-1", "max tokens: want 0 or more, found -1"},
		{"system-mode", "sytem", `want auto, systemgemma2, merge, merge-nl, merge-space, turn, developer-turn, exchange, strict, custom, found "sytem"`},
		{"stop", `""`, "stop: want a text"},
		{"stop", `"a`, "want a closing quote"},
		{"ignore-eos", "maybe", "ignore-eos: "},
		{"context-overflow", "shift", `context overflow: want error or drop-oldest-turns, found "shift"`},
	} {
		s := settings{SystemMode: "turn"}
		err := s.set(c.name, c.value)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("set %s %s: error = %v, want %q in it", c.name, c.value, err, c.want)
		}
		if diff := cmp.Diff(settings{SystemMode: "turn"}, s); diff != "" {
			t.Errorf("set %s %s: changed after an error (-want +got):\n%s", c.name, c.value, diff)
		}
	}
}

func TestSettingsListAllOptions(t *testing.T) {
	var s settings
	if err := s.set("top-k", "7"); err != nil {
		t.Fatal(err)
	}
	text := s.String()
	for _, want := range []string{"  temperature                 default\n", "  top-k                       7\n", "  system-mode                 default"} {
		if !strings.Contains(text, want) {
			t.Errorf("settings lack %q:\n%s", want, text)
		}
	}
	if got := strings.Count(text, "\n") + 1; got != 51 {
		t.Errorf("%d options listed, want 51:\n%s", got, text)
	}
}

func TestUnusedOptionsAreNamed(t *testing.T) {
	p, seed := 0.9, uint64(1)
	o := Options{TopP: &p, Seed: &seed}
	if got := o.Unused(systemgemma.Sampling{}); len(got) != 1 || !strings.HasPrefix(got[0], "top-p, seed: no effect") {
		t.Errorf("greedy: %q, want top-p and seed named", got)
	}
	if got := o.Unused(systemgemma.Sampling{Temperature: 1}); got != nil {
		t.Errorf("sampling: %q, want none", got)
	}
	if got := (&Options{}).Unused(systemgemma.Sampling{}); got != nil {
		t.Errorf("no options: %q, want none", got)
	}
}

// Any text either gives a bias that the library takes or an error; what was written comes out.
func FuzzParseBias(f *testing.F) {
	for _, seed := range []string{"17=-2", "1,2=0.5", `"12"=3`, ` Paris=never`, "a=b=1e3", "=", "=1", `"=1`, "99999999999=1", "x=NaN", "x=Inf"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseBias(text)
		if err != nil {
			return
		}
		if len(b.IDs) > 0 && b.Text != "" {
			t.Fatalf("%q: both text and ids: %+v", text, b)
		}
		_ = systemgemma.Sampling{LogitBias: []systemgemma.Bias{b}}.Validate() // any error is right, a panic is not
	})
}
