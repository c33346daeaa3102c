// Package mini embeds SystemGemma Mini: a tiny Gemma 2 that follows system prompts, so that the first minute needs no
// download. How it was made, and what it can't do, is in tools/mini/README.md.
//
// It must not know what is in the file.
package mini

import _ "embed"

// The file is remade from the checkpoint in tools/mini/model by go generate; better weights drop in there.
//
//go:generate go run ../../tools/mini/pack ../../tools/mini/model mini.gguf

//go:embed mini.gguf
var file []byte

// File is the model: a file of our own format, int8 weights. It must not be changed.
func File() []byte { return file }
