package tokenizer

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValidateRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(v *Vocab)
		want  string // in the error
	}{
		{"no pieces", func(v *Vocab) { v.Pieces = nil }, "want 1 to 16777214 pieces, found 0"},
		{"dummy prefix", func(v *Vocab) { v.AddSpacePrefix = true }, "add_space_prefix true"},
		{"control rule", func(v *Vocab) { v.Control = 2 }, "unknown control rule 2"},
		{"BOS too large", func(v *Vocab) { v.BOS = 258 }, "id of <bos>: want -1 to 257, found 258"},
		{"EOS negative", func(v *Vocab) { v.EOS = -2 }, "id of <eos>: want -1 to 257, found -2"},
		{"PAD", func(v *Vocab) { v.PAD = math.MaxInt32 }, "id of <pad>"},
		{"UNK", func(v *Vocab) { v.UNK = math.MinInt32 }, "id of <unk>"},
		{"EndOfTurn", func(v *Vocab) { v.EndOfTurn = 300 }, "id of <end_of_turn>"},
		{"empty piece", func(v *Vocab) { v.Pieces[257].Text = "" }, `piece 257 "": want text`},
		{"long piece", func(v *Vocab) { v.Pieces[257].Text = strings.Repeat("a", 257) }, "want at most 256 bytes, found 257"},
		{"not UTF-8", func(v *Vocab) { v.Pieces[257].Text = "a\xff" }, `piece 257 "a\xff": not UTF-8`},
		{"literal space", func(v *Vocab) { v.Pieces[257].Text = "a b" }, "holds a space"},
		{"type 0", func(v *Vocab) { v.Pieces[257].Type = 0 }, "want type 1 to 6, found 0"},
		{"type 7", func(v *Vocab) { v.Pieces[257].Type = 7 }, "want type 1 to 6, found 7"},
		{"NaN", func(v *Vocab) { v.Pieces[257].Score = float32(math.NaN()) }, "not a number"},
		{"byte missing", func(v *Vocab) { v.Pieces[0x80].Type = Normal }, "found none for 0x80"},
		{"byte twice", func(v *Vocab) { v.Pieces[5].Text = "<0x04>" }, "byte 0x04 has two pieces, 4 and 5"},
		{"byte -1", func(v *Vocab) { v.Pieces[5].Text = "<0x-1>" }, `found "<0x-1>"`},
		{"byte of one digit", func(v *Vocab) { v.Pieces[5].Text = "<0x5>" }, `found "<0x5>"`},
		{"byte that is EOS", func(v *Vocab) { v.EOS = 'A' }, "piece 65 is both byte 0x41 and a control token"},
		{"no space", func(v *Vocab) { v.Pieces[256].Text = "b" }, "want a piece of type normal or user-defined for the space"},
		{"space that is PAD", func(v *Vocab) { v.PAD = 256 }, "for the space"},
		{"same text", func(v *Vocab) { v.Pieces[257].Text = "<0x41>" }, `pieces 65 and 257 are both "<0x41>"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := byteVocab(Piece{"a", 0, Normal})
			if _, err := New(v); err != nil {
				t.Fatalf("before: %v", err)
			}
			c.spoil(v)
			if _, err := New(v); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New: %v, want an error with %q", err, c.want)
			}
			if err := v.Validate(); (err == nil) != (c.name == "same text") {
				t.Errorf("Validate: %v", err)
			}
		})
	}
}

// Gemma's tokenizer.json has a tab where tokenizer.model has <0x09>.
func TestCharacterServesAsItsByte(t *testing.T) {
	v := byteVocab()
	v.Pieces[9] = Piece{"\t", 0, Normal}
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Decode([]int32{9}); got != "\t" {
		t.Errorf("Decode(9) = %q, want a tab", got)
	}
	if got := tok.AppendText(nil, "\t"); !slices.Equal(got, []int32{9}) {
		t.Errorf("a tab is %v, want 9", got)
	}
	v.EOS = 9 // now it would be a control token in text
	if err := v.Validate(); err == nil {
		t.Error("a control token serves as byte 0x09, want an error")
	}
}

func TestRolesAndControls(t *testing.T) {
	pieces := []Piece{{"<eos>", 0, UserDefined}, {"</s>", 0, Normal}, {"<bos>", 0, Control}, {"<start_of_turn>", 0, Normal},
		{"<end_of_turn>", 0, UserDefined}, {"<tool>", 0, Control}, {"<odd>", 0, Unknown}, {"<unused0>", 0, UserDefined}}
	for _, c := range []struct {
		name    string
		set     func(v *Vocab)
		roles   Roles
		control []int32
	}{
		{"by spelling", func(*Vocab) {},
			Roles{BOS: 259, EOS: 257, PAD: -1, UNK: -1, StartOfTurn: 260, EndOfTurn: 261}, []int32{257, 259, 260, 261, 262, 263}},
		{"by role", func(v *Vocab) { v.EOS, v.UNK = 258, 263 },
			Roles{BOS: 259, EOS: 258, PAD: -1, UNK: 263, StartOfTurn: 260, EndOfTurn: 261}, []int32{257, 258, 259, 260, 261, 262, 263}},
		{"by type", func(v *Vocab) { v.Control = ControlByType },
			Roles{BOS: 259, EOS: 257, PAD: -1, UNK: -1, StartOfTurn: 260, EndOfTurn: 261}, []int32{259, 262, 263}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := byteVocab(pieces...)
			c.set(v)
			tok, err := New(v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.roles, tok.Roles()); diff != "" {
				t.Errorf("Roles (-want +got):\n%s", diff)
			}
			var control []int32
			for id := int32(-1); id <= int32(tok.Size()); id++ {
				if tok.IsControl(id) {
					control = append(control, id)
				}
			}
			if diff := cmp.Diff(c.control, control); diff != "" {
				t.Errorf("control tokens (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	tok := newTok(t, Piece{"▁▁a", 0, Normal}, Piece{"<end_of_turn>", 0, Control}, Piece{"[PAD0]", 0, Unused})
	for id, want := range map[int32]string{0x41: "<0x41>", 256: "▁", 257: "▁▁a", 258: "<end_of_turn>", 259: "[PAD0]"} {
		if got := tok.Piece(id); got != want {
			t.Errorf("Piece(%d) = %q, want %q", id, got, want)
		}
		if got, ok := tok.ID(want); got != id || !ok {
			t.Errorf("ID(%q) = %d, %t, want %d", want, got, ok, id)
		}
	}
	for _, id := range []int32{-1, 260, math.MaxInt32, math.MinInt32} {
		if got := tok.Piece(id); got != "" {
			t.Errorf("Piece(%d) = %q, want nothing", id, got)
		}
	}
	for _, text := range []string{"", "a", "<0x4>", strings.Repeat("a", 10000)} {
		if id, ok := tok.ID(text); ok || id != -1 {
			t.Errorf("ID(%q) = %d, %t, want -1, false", text, id, ok)
		}
	}
}

// Of two pieces the one with the higher score comes first.
func TestDescending(t *testing.T) {
	scores := []float32{float32(math.Inf(1)), 1e30, 2, 1, math.SmallestNonzeroFloat32, 0, -math.SmallestNonzeroFloat32, -1, -2, -1e30, float32(math.Inf(-1))}
	for i, s := range scores[1:] {
		if a, b := descending(scores[i]), descending(s); a >= b || b == never {
			t.Errorf("descending(%g) = %d, descending(%g) = %d, want the first lower, none never", scores[i], a, s, b)
		}
	}
	if zero, minus := descending(0), descending(float32(math.Copysign(0, -1))); zero != minus {
		t.Errorf("0 and -0 give %d and %d, want the same", zero, minus)
	}
}

func TestMatcherFindsTheLongest(t *testing.T) {
	tok := newTok(t, Piece{"<", 0, Normal}, Piece{"<t", 0, UserDefined}, Piece{"<td>", 0, UserDefined}, Piece{"<th>", 0, UserDefined},
		Piece{"▁▁", 0, UserDefined}, Piece{"▁▁▁▁", 0, UserDefined}, Piece{"<tdx", 0, UserDefined}, Piece{"é", 0, UserDefined})
	for text, want := range map[string]string{
		"<td>": "<td>", "<td": "<t", "<tdx>": "<tdx", "<te": "<t", "<": "", "x<td>": "", "<th>>": "<th>", "  ": "  ", "   ": "  ",
		"     ": "    ", " ": "", "é": "é", "\xc3": "", "\xff": "", "<t": "<t",
	} {
		id, length := tok.plain.longest(text)
		if got := text[:length]; got != want || length > 0 && tok.Text(id) != want {
			t.Errorf("longest(%q) = %d, %q, want %q", text, id, got, want)
		}
	}
}

func TestSpells(t *testing.T) {
	v := byteVocab(Piece{"▁a", 1, Normal}, Piece{"▁b", 0, Control})
	tok, err := New(v)
	if err != nil {
		t.Fatal(err)
	}
	scored := slices.Clone(v.Pieces)
	scored[257].Score, scored[258].Type = 7, Normal
	if !tok.Spells(v.Pieces) || !tok.Spells(scored) {
		t.Error("the same pieces: want true")
	}
	other := slices.Clone(v.Pieces)
	other[257].Text = "a"
	swapped := slices.Clone(v.Pieces)
	swapped[257], swapped[258] = swapped[258], swapped[257]
	for name, pieces := range map[string][]Piece{"fewer": v.Pieces[:258], "more": append(slices.Clip(v.Pieces), Piece{"c", 0, Normal}), "other": other, "swapped": swapped, "none": nil} {
		if tok.Spells(pieces) {
			t.Errorf("%s pieces: want false", name)
		}
	}
}
