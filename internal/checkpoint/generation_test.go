package checkpoint

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const wholeGeneration = `{"do_sample": true, "typical_p": 0.9, "epsilon_cutoff": 0.0003, "eta_cutoff": 0, "top_h": 0.5, "encoder_repetition_penalty": 1.5,
	"no_repeat_ngram_size": 3, "min_new_tokens": 4, "max_time": 2.5, "bad_words_ids": [[3], [4, 5]], "sequence_bias": [[[6, 7], -1.5]],
	"suppress_tokens": [8], "begin_suppress_tokens": [9, 10], "forced_bos_token_id": 11, "forced_eos_token_id": 1,
	"exponential_decay_length_penalty": [12, 1.01], "stop_strings": "END", "num_beams": 4, "guidance_scale": 1.0, "max_length": 20,
	"penalty_alpha": 0.0, "dola_layers": null, "num_beam_groups": 1}`

// All settings of a generation_config.json are read, and survive being metadata; what asks for another way to generate is named.
func TestWholeGenerationConfig(t *testing.T) {
	var c Checkpoint
	if _, err := c.parseGeneration([]byte(wholeGeneration)); err != nil {
		t.Fatal(err)
	}
	want := Generation{
		DoSample: ptr(true), TypicalP: ptr[float32](0.9), EpsilonCutoff: ptr[float32](0.0003), EtaCutoff: ptr[float32](0), TopH: ptr[float32](0.5),
		EncoderRepetitionPenalty: ptr[float32](1.5), NoRepeatNgram: ptr(3), MinNewTokens: ptr(4), MaxTime: ptr[float32](2.5),
		Rules: GenerationRules{
			BadWords: [][]int32{{3}, {4, 5}}, SequenceBias: []SequenceBias{{[]int32{6, 7}, -1.5}}, Suppress: []int32{8}, BeginSuppress: []int32{9, 10},
			ForcedBOS: ptr[int32](11), ForcedEOS: []int32{1}, Decay: &Decay{12, 1.01}, Stop: []string{"END"}, Left: []string{"num_beams 4"},
		},
	}
	if diff := cmp.Diff(want, c.Generation); diff != "" {
		t.Errorf("generation (-want +got):\n%s", diff)
	}
	var again GenerationRules
	if err := again.parse(c.Generation.Rules.text()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Rules, again); diff != "" {
		t.Errorf("rules as metadata (-want +got):\n%s", diff)
	}
	m := Plain{Generation: c.Generation}
	data, err := json.Marshal(m.generationJSON())
	if err != nil {
		t.Fatal(err)
	}
	var back Checkpoint
	if _, err := back.parseGeneration(data); err != nil {
		t.Fatal(err)
	}
	want.Rules.Left = nil // no setting of ours
	if diff := cmp.Diff(want, back.Generation); diff != "" {
		t.Errorf("generation after an export (-want +got):\n%s", diff)
	}
}

func TestWrongGenerationRules(t *testing.T) {
	for text, want := range map[string]string{
		`{"bad_words_ids": [3]}`:                  "bad_words_ids: want token ids in transformers' form, found [3]",
		`{"suppress_tokens": [-2]}`:               "want ids from 0, found -2",
		`{"sequence_bias": [[[1]]]}`:              "sequence_bias: want token ids",
		`{"sequence_bias": [[[-1], 2]]}`:          "want ids from 0, found -1",
		`{"exponential_decay_length_penalty": 1}`: "exponential_decay_length_penalty: want",
		`{"stop_strings": ["a", ""]}`:             "stop_strings: want texts, found an empty one",
		`{"forced_eos_token_id": "x"}`:            "forced_eos_token_id: want",
		`{"forced_bos_token_id": 1.5}`:            "forced_bos_token_id: want",
	} {
		var c Checkpoint
		if _, err := c.parseGeneration([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func FuzzGenerationRules(f *testing.F) {
	f.Add(`{"bad_words_ids":[[1]],"sequence_bias":[[[2],3]],"forced_eos_token_id":4,"exponential_decay_length_penalty":[5,6],"stop_strings":["a"],"left":["b"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var r, again GenerationRules
		if r.parse(text) != nil {
			return
		}
		if err := again.parse(r.text()); err != nil {
			t.Errorf("%q: read, then written as %q: %v", text, r.text(), err)
		}
	})
}
