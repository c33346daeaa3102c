package tokenizer

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// message writes protobuf fields.
type message []byte

func (m message) num(field int, v uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3), v)
}

func (m message) str(field int, s string) message {
	m = binary.AppendUvarint(m, uint64(field)<<3|2)
	return append(binary.AppendUvarint(m, uint64(len(s))), s...)
}

func (m message) float(field int, f float32) message {
	m = binary.AppendUvarint(m, uint64(field)<<3|5)
	return binary.LittleEndian.AppendUint32(m, math.Float32bits(f))
}

// model writes a SentencePiece model of v's pieces with these settings.
func model(v *Vocab, trainer, normalizer message) message {
	var m message
	for _, p := range v.Pieces {
		m = m.str(1, string(message(nil).str(1, p.Text).float(2, p.Score).num(3, uint64(p.Type))))
	}
	return m.str(2, string(trainer)).str(3, string(normalizer))
}

// The settings of Gemma.
func gemmaTrainer() message {
	return message(nil).num(3, bpe).num(35, 1).str(46, "<bos>").str(47, "<eos>")
}

func gemmaNormalizer() message { return message(nil).str(1, "identity").str(2, "").num(3, 0).num(4, 0) }

func TestParseModelReadsWhatIsWritten(t *testing.T) {
	want := byteVocab(Piece{"<pad>", 0, Control}, Piece{"<bos>", 0, Control}, Piece{"<eos>", 0, Control}, Piece{"<unk>", 0, Unknown},
		Piece{"a", -1, Normal}, Piece{"▁a", -0.5, Normal}, Piece{"\n\n", 0, UserDefined}, Piece{"</s>", 0, UserDefined})
	want.PAD, want.BOS, want.EOS, want.UNK = 257, 258, 259, 260
	data := model(want, gemmaTrainer(), gemmaNormalizer())
	// Unknown fields of every wire type are passed over.
	data = append(binary.LittleEndian.AppendUint64(append(data, 200<<1&0x7f|1|0x80, 200<<3>>7), 7), message(nil).num(99, 1<<63).str(98, "x").float(97, 1)...)
	got, err := ParseModel(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseModel (-want +got):\n%s", diff)
	}
}

func TestParseModelDefaults(t *testing.T) {
	v := byteVocab(Piece{"<s>", 0, Control}, Piece{"</s>", 0, Control}, Piece{"<pad>", 0, UserDefined})
	data := model(v, message(nil).num(3, bpe).num(35, 1), gemmaNormalizer())
	data = data.str(1, string(message(nil).str(1, "a"))) // neither score nor type: 0, normal
	got, err := ParseModel(data)
	if err != nil {
		t.Fatal(err)
	}
	v.Pieces = append(v.Pieces, Piece{"a", 0, Normal})
	v.BOS, v.EOS = 257, 258 // and no PAD: it is not of type control
	if diff := cmp.Diff(v, got); diff != "" {
		t.Errorf("ParseModel (-want +got):\n%s", diff)
	}
}

func TestParseModelRefuses(t *testing.T) {
	v := byteVocab(Piece{"a", 0, Normal})
	for _, c := range []struct {
		name string
		data message
		want string // in the error
	}{
		{"unigram", model(v, gemmaTrainer().num(3, unigram), gemmaNormalizer()), "trainer_spec.model_type: want 2 (BPE), found 1"},
		{"no model type", model(v, message(nil).num(35, 1), gemmaNormalizer()), "trainer_spec.model_type: want 2 (BPE), found 1"},
		{"no byte fallback", model(v, gemmaTrainer().num(35, 0), gemmaNormalizer()), "trainer_spec.byte_fallback"},
		{"space as suffix", model(v, gemmaTrainer().num(24, 1), gemmaNormalizer()), "trainer_spec.treat_whitespace_as_suffix"},
		{"nmt_nfkc", model(v, gemmaTrainer(), gemmaNormalizer().str(1, "nmt_nfkc").str(2, "xyz")), `found "nmt_nfkc" with a precompiled_charsmap of 3 bytes`},
		{"rules", model(v, gemmaTrainer(), gemmaNormalizer().str(6, "a\tb")), "normalization_rule_tsv"},
		{"dummy prefix", model(v, gemmaTrainer(), gemmaNormalizer().num(3, 1)), "add_dummy_prefix: want false, found true"},
		{"dummy prefix by default", model(v, gemmaTrainer(), message(nil).num(4, 0)), "add_dummy_prefix: want false, found true"},
		{"extra spaces by default", model(v, gemmaTrainer(), message(nil).num(3, 0)), "remove_extra_whitespaces: want false, found true"},
		{"spaces not escaped", model(v, gemmaTrainer(), gemmaNormalizer().num(5, 0)), "escape_whitespaces: want true, found false"},
		{"denormalizer", model(v, gemmaTrainer(), gemmaNormalizer()).str(5, string(message(nil).str(2, "x"))), "denormalizer_spec"},
		{"unused piece", model(byteVocab(Piece{"a", 0, Unused}), gemmaTrainer(), gemmaNormalizer()), `piece 257 "a" is of type unused`},
		{"type 300", model(v, gemmaTrainer(), gemmaNormalizer()).str(1, string(message(nil).str(1, "b").num(3, 300))), "want type 1 to 6, found 255"},
		{"no bytes", model(&Vocab{Pieces: []Piece{{"a", 0, Normal}}}, gemmaTrainer(), gemmaNormalizer()), "found none for 0x00"},
		{"empty", nil, "trainer_spec.model_type"},
		{"text", message("hello, this is no model"), "no valid field"},
		{"field 0", message{0x00, 0x00}, "byte 0 of 2: no valid field"},
		{"group", message{0x0b}, "byte 0 of 1: no valid field"},
		{"length past the end", message{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "no valid field"},
		{"length of 2^64-1", message{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, "no valid field"},
		{"endless number", message(strings.Repeat("\xff", 20)), "no valid field"},
		{"number above 64 bits", message{0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, "no valid field"},
		{"cut fixed32", message{0x0d, 1, 2, 3}, "no valid field"},
		{"cut fixed64", message{0x09, 1, 2, 3, 4, 5, 6, 7}, "no valid field"},
		{"damaged piece", message(nil).str(1, "\x0a\x05a"), "piece 0: byte 0 of 3: no valid field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseModel(c.data)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "tokenizer.model: ") {
				t.Errorf("ParseModel: %v, want an error with %q", err, c.want)
			}
		})
	}
}

// A model cut short at any place is an error or, between fields, a model without its settings, which is one too.
func TestParseModelCutShort(t *testing.T) {
	data := golden.Read(t, filepath.Join(golden.Dir(t, "tokenizer"), "small", "small.model"))
	if _, err := ParseModel(data); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(data)-20; n += 13 {
		if _, err := ParseModel(data[:n]); err == nil {
			t.Errorf("ParseModel of the first %d of %d bytes: want an error", n, len(data))
		}
	}
}
