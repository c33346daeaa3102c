package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type object = map[string]any

// tokenizerFile is a tokenizer.json as Gemma's, small: bytes but for the tab, then characters and three merges.
func tokenizerFile() object {
	vocab := object{}
	for id, p := range byteVocab().Pieces {
		vocab[p.Text] = id
	}
	delete(vocab, "<0x09>")
	vocab["\t"] = 9
	for i, text := range []string{"<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>", "\n\n", "a", "b", "▁a", "ab", "▁ab"} {
		vocab[text] = 257 + i
	}
	var added []any
	for i, text := range []string{"<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>", "\n\n"} {
		added = append(added, object{"id": 257 + i, "content": text, "special": text != "\n\n",
			"single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
	}
	return object{
		"version":        "1.0",
		"added_tokens":   added,
		"normalizer":     object{"type": "Replace", "pattern": object{"String": " "}, "content": "▁"},
		"pre_tokenizer":  object{"type": "Split", "pattern": object{"String": " "}, "behavior": "MergedWithPrevious", "invert": false},
		"post_processor": object{"type": "TemplateProcessing"},
		"decoder": object{"type": "Sequence", "decoders": []any{
			object{"type": "Replace", "pattern": object{"String": "▁"}, "content": " "}, object{"type": "ByteFallback"}, object{"type": "Fuse"}}},
		"model": object{"type": "BPE", "dropout": nil, "unk_token": "<unk>", "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
			"fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
			"merges": []any{"a b", "▁ a", "▁ ab", "▁a b"}},
	}
}

func marshal(t testing.TB, o object) []byte {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseJSON(t *testing.T) {
	want := byteVocab(Piece{"<bos>", 0, Control}, Piece{"<eos>", 0, Control}, Piece{"<pad>", 0, Control}, Piece{"<unk>", 0, Unknown},
		Piece{"<start_of_turn>", 0, Control}, Piece{"<end_of_turn>", 0, Control}, Piece{"\n\n", 0, UserDefined},
		Piece{"a", 0, Normal}, Piece{"b", 0, Normal}, Piece{"▁a", -2, Normal}, Piece{"ab", -1, Normal}, Piece{"▁ab", -3, Normal})
	want.Pieces[9] = Piece{"\t", 0, Normal}
	want.Pieces[256].Score = 0
	for name, change := range map[string]func(f object){
		"as Gemma": func(object) {},
		"merges as pairs": func(f object) {
			f["model"].(object)["merges"] = [][]string{{"a", "b"}, {"▁", "a"}, {"▁", "ab"}, {"▁a", "b"}}
		},
		"no pre-tokenizer": func(f object) { f["pre_tokenizer"] = nil },
		"added tokens in no vocabulary": func(f object) {
			delete(f["model"].(object)["vocab"].(object), "<bos>")
		},
		// Newer files leave these out.
		"user-defined merges": func(f object) {
			f["model"].(object)["vocab"].(object)["\n"] = 269
			f["added_tokens"] = append(f["added_tokens"].([]any), object{"id": 269, "content": "\n"})
			f["model"].(object)["merges"] = []any{"\n \n", "a b", "▁ a", "▁ ab", "▁a b"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := tokenizerFile()
			change(f)
			got, err := ParseJSON(marshal(t, f))
			if err != nil {
				t.Fatal(err)
			}
			got.Pieces = got.Pieces[:len(want.Pieces)]
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("ParseJSON (-want +got):\n%s", diff)
			}
		})
	}
}

// Encoding by a tokenizer.json, from file to ids.
func TestParseJSONEncodes(t *testing.T) {
	v, err := ParseJSON(marshal(t, tokenizerFile()))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Roles{BOS: 257, EOS: 258, PAD: 259, UNK: 260, StartOfTurn: 261, EndOfTurn: 262}, tok.Roles()); diff != "" {
		t.Errorf("Roles (-want +got):\n%s", diff)
	}
	for text, want := range map[string][]int32{
		" ab": {268}, "ab a": {267, 266}, "\t\n\n\n": {9, 263, 10}, "<eos>": {'<', 'e', 'o', 's', '>'}, "é": {0xC3, 0xA9},
	} {
		if got := tok.AppendText(nil, text); !slices.Equal(got, want) {
			t.Errorf("AppendText(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	m := func(key string, value any) func(object) {
		return func(f object) { f["model"].(object)[key] = value }
	}
	top := func(key string, value any) func(object) { return func(f object) { f[key] = value } }
	added := func(key string, value any) func(object) {
		return func(f object) { f["added_tokens"].([]any)[6].(object)[key] = value }
	}
	replace := object{"type": "Replace", "pattern": object{"String": "▁"}, "content": " "}
	for _, c := range []struct {
		name  string
		spoil func(f object)
		want  string // in the error
	}{
		{"unigram", m("type", "Unigram"), `model.type: want BPE, found "Unigram"`},
		{"no byte fallback", m("byte_fallback", false), "model.byte_fallback"},
		{"ignore merges", m("ignore_merges", true), "model.ignore_merges"},
		{"dropout", m("dropout", 0.1), "model.dropout: want none, found 0.1"},
		{"prefix", m("continuing_subword_prefix", "##"), "continuing_subword_prefix"},
		{"suffix", m("end_of_word_suffix", "</w>"), "end_of_word_suffix"},
		{"no normalizer", top("normalizer", nil), "normalizer: want Replace of a space by ▁, found none"},
		{"NFC", top("normalizer", object{"type": "NFC"}), `normalizer: want Replace of a space by ▁, found "NFC"`},
		{"normalizer of a regex", top("normalizer", object{"type": "Replace", "pattern": object{"Regex": " "}, "content": "▁"}), "normalizer"},
		{"ByteLevel", top("pre_tokenizer", object{"type": "ByteLevel"}), `pre_tokenizer: want none or Split at spaces, MergedWithPrevious, found "ByteLevel"`},
		{"split isolated", top("pre_tokenizer", object{"type": "Split", "pattern": object{"String": " "}, "behavior": "Isolated"}), "pre_tokenizer"},
		{"split inverted", top("pre_tokenizer", object{"type": "Split", "pattern": object{"String": " "}, "behavior": "MergedWithPrevious", "invert": true}), "pre_tokenizer"},
		{"split by regex", top("pre_tokenizer", object{"type": "Split", "pattern": object{"Regex": `\s`}, "behavior": "MergedWithPrevious"}), "pre_tokenizer"},
		{"no decoder", top("decoder", nil), "decoder"},
		{"decoder strips", top("decoder", object{"type": "Sequence", "decoders": []any{replace, object{"type": "ByteFallback"}, object{"type": "Fuse"}, object{"type": "Strip"}}}), "decoder"},
		{"decoder of null", top("decoder", object{"type": "Sequence", "decoders": []any{nil, nil, nil}}), "decoder"},
		{"Metaspace", top("decoder", object{"type": "Metaspace"}), `found "Metaspace"`},
		{"no vocabulary", m("vocab", nil), "model.vocab: want pieces, found none"},
		{"hole in the ids", func(f object) { f["model"].(object)["vocab"].(object)["ab"] = 300 }, "want ids 0 to 268 for 269 pieces, found 300"},
		{"negative id", func(f object) { f["model"].(object)["vocab"].(object)["ab"] = -1 }, "found -1"},
		{"id twice", func(f object) { f["model"].(object)["vocab"].(object)["ab"] = 0 }, "id 0 is both"},
		{"id above 32 bits", func(f object) { f["model"].(object)["vocab"].(object)["ab"] = 1 << 40 }, "cannot unmarshal"},
		{"added null", top("added_tokens", []any{nil}), "added_tokens: want objects, found null"},
		{"added elsewhere", added("id", 5), `added_tokens: "\n\n" has id 5, in model.vocab 263`},
		{"added far away", func(f object) {
			f["added_tokens"] = append(f["added_tokens"].([]any), object{"id": 1 << 30, "content": "<far>"})
		}, "found 1073741824"},
		{"single word", added("single_word", true), "single_word"},
		{"lstrip", added("lstrip", true), "lstrip"},
		{"rstrip", added("rstrip", true), "rstrip"},
		{"normalized", added("normalized", true), `added_tokens: "\n\n"`},
		{"no merges", m("merges", nil), "model.merges: want the 4 that make a piece of two, found 0"},
		{"merge of one", m("merges", []any{"ab"}), `merge 0: want two pieces and a space, found "ab"`},
		{"merge of three", m("merges", []any{"a b b"}), `found "a b b"`},
		{"merge of nothing", m("merges", []any{" a"}), `found " a"`},
		{"merges of numbers", m("merges", []any{1, 2}), "model.merges: json"},
		{"pair of three", m("merges", [][]string{{"a", "b", "c"}}), "merge 0: want an array of two pieces"},
		{"pair of null", m("merges", []any{nil, []string{"a", "b"}}), "merge 0: want"},
		{"merge to no piece", m("merges", []any{"b a"}), `merge 0, "b" and "a": want pieces of model.vocab`},
		{"merge of no piece", m("merges", []any{"▁a b", "x ab"}), `merge 1, "x" and "ab": want pieces of model.vocab`},
		{"merge missing", m("merges", []any{"a b", "▁ a", "▁ ab"}), "want the 4 that make a piece of two, found 3"},
		{"merges not by piece", m("merges", []any{"a b", "▁ ab", "▁ a", "▁a b"}), `merge 3 makes "▁ab", as did merges before the last`},
		{"character without piece", func(f object) { f["model"].(object)["vocab"].(object)["éa"] = 269 }, "want the 5 that make a piece of two, found 4"},
		{"no byte", func(f object) {
			vocab := f["model"].(object)["vocab"].(object)
			delete(vocab, "<0x80>")
			vocab["x"] = 0x80
		}, "found none for 0x80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := tokenizerFile()
			c.spoil(f)
			_, err := ParseJSON(marshal(t, f))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "tokenizer.json: ") {
				t.Errorf("ParseJSON: %v, want an error with %q", err, c.want)
			}
		})
	}
	for _, data := range []string{"", "{", "null", "[]", "{}", `{"model": []}`, "\x1f\x8b\x08"} {
		if _, err := ParseJSON([]byte(data)); err == nil {
			t.Errorf("ParseJSON(%q): want an error", data)
		}
	}
}
