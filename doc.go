// Package systemgemma runs Gemma 2 with system prompts, in pure Go.
//
// Most programs need two functions:
//
//	m, err := systemgemma.Open("", nil) // "" is the embedded model, else a folder or a .gguf file
//	...
//	for e, err := range m.Chat(ctx, []systemgemma.Message{
//		{Role: "system", Content: "Talk like a pirate."},
//		{Role: "user", Content: "What is the capital of France?"},
//	}, nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Print(e.Text)
//	}
//
// Results are exact and the same everywhere: one text from one seed on every CPU, with any number of threads, whatever else
// runs on the model. Nothing is lost in silence: an option that can't be honoured, or a prompt that is too long, is an error.
// Text never becomes a control token; only the chat template's own marks do.
//
// A Model is safe for concurrent use. The package needs no cgo and no other module than golang.org/x/sys.
package systemgemma
