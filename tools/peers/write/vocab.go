package main

import "fmt"

// Types of pieces, as GGUF numbers them.
const (
	pieceNormal  int32 = 1
	pieceUnknown int32 = 2
	pieceControl int32 = 3
	pieceByte    int32 = 6
)

// firstByte is the id of the piece for byte 0, as in Gemma 2.
const firstByte = 217

// vocabulary makes up n pieces, n > 512: Gemma 2's special ids, its bytes, some letters, and words without sense.
func vocabulary(n int) (pieces []string, types []int32) {
	special := map[int]string{0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 106: "<start_of_turn>", 107: "<end_of_turn>"}
	for i := range n {
		piece, typ := fmt.Sprintf("▁w%06d", i), pieceNormal // of one length: no piece and a character more make another
		switch {
		case special[i] != "":
			piece, typ = special[i], pieceControl
			if i == 3 {
				typ = pieceUnknown
			}
		case i >= firstByte && i < firstByte+256:
			piece, typ = fmt.Sprintf("<0x%02X>", i-firstByte), pieceByte
		case i >= 4 && i < 30:
			piece = string(rune('a' + i - 4))
		case i == 30:
			piece = "▁"
		case i == 31:
			piece = "ab" // what the only merge of tokenizer.json makes
		}
		pieces, types = append(pieces, piece), append(types, typ)
	}
	return pieces, types
}
