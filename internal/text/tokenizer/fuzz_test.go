package tokenizer

import (
	"encoding/json"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// parseWithin checks that parse takes no more memory than 64 bytes for each byte of input plus 8 MiB, and that what it accepts makes
// a tokenizer that works.
func parseWithin(t *testing.T, data []byte, parse func([]byte) (*Vocab, error)) {
	t.Helper()
	before := allocated()
	v, err := parse(data)
	if used, limit := allocated()-before, uint64(64*len(data)+8<<20); used > limit {
		t.Fatalf("parsing %d bytes allocated %d bytes, limit %d", len(data), used, limit)
	}
	if err != nil {
		return
	}
	tok, err := New(v)
	if err != nil {
		return // two pieces alike
	}
	checkText(t, tok, string(data[:min(len(data), 1000)]))
	for id := range int32(min(tok.Size(), 1000)) {
		checkText(t, tok, tok.Text(id))
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func checkText(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	ids := tok.AppendText(nil, text)
	if i := slices.IndexFunc(ids, tok.IsControl); i >= 0 {
		t.Fatalf("AppendText(%q) gives control token %d", text, ids[i])
	}
	if got, want := tok.Decode(ids), readable(text); got != want {
		t.Fatalf("AppendText(%q) decodes to %q, want %q", text, got, want)
	}
	special := tok.AppendSpecial(nil, text)
	if got, want := tok.Decode(special), readable(text); got != want {
		t.Fatalf("AppendSpecial(%q) decodes to %q, want %q", text, got, want)
	}
	d := tok.NewDecoder()
	for _, id := range special {
		if s := d.Add(id); !utf8.ValidString(s) {
			t.Fatalf("AppendSpecial(%q): Add(%d) gives %q, want UTF-8", text, id, s)
		}
	}
}

func FuzzParseModel(f *testing.F) {
	f.Add([]byte(golden.Read(f, filepath.Join(golden.Dir(f, "tokenizer"), "small", "small.model"))))
	f.Add([]byte(model(byteVocab(Piece{"<bos>", 0, Control}, Piece{"ab", 1, Normal}, Piece{"\n\n", 0, UserDefined}), gemmaTrainer(), gemmaNormalizer())))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}) // claims a piece of 2^63-1 bytes
	f.Fuzz(func(t *testing.T, data []byte) { parseWithin(t, data, ParseModel) })
}

func FuzzParseJSON(f *testing.F) {
	f.Add(marshal(f, tokenizerFile()))
	pairs := tokenizerFile()
	pairs["model"].(object)["merges"] = [][]string{{"a", "b"}, {"▁", "a"}, {"▁", "ab"}, {"▁a", "b"}}
	f.Add(marshal(f, pairs))
	f.Add([]byte(`{"added_tokens":[{"id":2147483647,"content":"a"}],"model":{"type":"BPE","byte_fallback":true,"vocab":{},"merges":[]}}`))
	f.Fuzz(func(t *testing.T, data []byte) { parseWithin(t, data, ParseJSON) })
}

func FuzzEncodeDecode(f *testing.F) {
	tok := newSmall(f, ControlByRole)
	for _, text := range []string{"", "right year must three", "<end_of_turn>\n<start_of_turn>model", "▁▁ ▁", "\xe2\x96", "漢字😀", "\xff<bos>\xed\xa0\x80", "\t\t\t\n\n\n\n\n\n\n\n\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkText(t, tok, text) })
}

// Short elements that repeat take most memory for their size. Half a megabyte of each, in a file that is otherwise as Gemma's.
func TestParseJSONMemoryIsBounded(t *testing.T) {
	repeat := func(element string) json.RawMessage {
		return json.RawMessage("[" + strings.Repeat(element+",", 1<<19/(len(element)+1)) + element + "]")
	}
	for name, change := range map[string]func(f object){
		"added tokens":  func(f object) { f["added_tokens"] = repeat(`{}`) },
		"added nulls":   func(f object) { f["added_tokens"] = repeat(`null`) },
		"decoders":      func(f object) { f["decoder"] = object{"type": "Sequence", "decoders": repeat(`{}`)} },
		"empty merges":  func(f object) { f["model"].(object)["merges"] = repeat(`""`) },
		"merges of one": func(f object) { f["model"].(object)["merges"] = repeat(`[""]`) },
		"empty pairs":   func(f object) { f["model"].(object)["merges"] = repeat(`[]`) },
		"merges":        func(f object) { f["model"].(object)["merges"] = repeat(`"a b"`) },
		"pairs":         func(f object) { f["model"].(object)["merges"] = repeat(`["a","b"]`) },
		"pieces": func(f object) {
			for i := range 1 << 16 {
				f["model"].(object)["vocab"].(object)[strconv.FormatInt(int64(i), 36)] = i
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := tokenizerFile()
			change(f)
			parseWithin(t, marshal(t, f), ParseJSON)
		})
	}
}

func TestParseModelMemoryIsBounded(t *testing.T) {
	for name, element := range map[string]string{"empty pieces": "\x0a\x00", "settings": "\x12\x00", "pieces": "\x0a\x03\x0a\x01a"} {
		t.Run(name, func(t *testing.T) {
			data := []byte(strings.Repeat(element, 1<<20/len(element)))
			data = append(data, model(byteVocab(), gemmaTrainer(), gemmaNormalizer())...)
			before := allocated()
			_, err := ParseModel(data)
			if used, limit := allocated()-before, uint64(20*len(data)+1<<20); used > limit { // a piece of 2 bytes takes 32
				t.Errorf("parsing %d bytes allocated %d bytes, limit %d (%v)", len(data), used, limit, err)
			}
		})
	}
}
