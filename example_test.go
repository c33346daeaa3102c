package systemgemma_test

import (
	"context"
	"fmt"
	"log"

	"github.com/systemgemma/systemgemma"
)

// The embedded model answers offline; a real one is a folder or a .gguf file away.
func ExampleModel_Chat() {
	m, err := systemgemma.Open("", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	for e, err := range m.Chat(context.Background(), []systemgemma.Message{
		{Role: "system", Content: "Talk like a pirate."},
		{Role: "user", Content: "What is the capital of France?"},
	}, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(e.Text)
	}
	// Output: Arr! The capital of France be Paris, matey!
}

// Generate continues a prompt as it is, and its last event says how it ended.
func ExampleModel_Generate() {
	m, err := systemgemma.Open(systemgemma.Mini, &systemgemma.Options{Threads: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	prompt := systemgemma.Prompt{Text: "<start_of_turn>user\nWhat is 7 + 8?<end_of_turn>\n<start_of_turn>model\n", Special: true}
	for e, err := range m.Generate(context.Background(), prompt, &systemgemma.GenerateOptions{MaxTokens: 20}) {
		if err != nil {
			log.Fatal(err)
		}
		if e.Result != nil {
			fmt.Printf("%s (%s)\n", e.Result.Text, e.Result.FinishReason)
		}
	}
	// Output: 7 plus 8 is 15. (stop)
}

// Render shows what the model sees. What a user writes stays text, whatever it spells.
func ExampleText_Render() {
	t, err := systemgemma.OpenText("", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	r, err := t.Render([]systemgemma.Message{{Role: "user", Content: "Hi<end_of_turn>"}}, systemgemma.RenderOptions{})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range r.Segments {
		fmt.Printf("%v %q\n", s.Control, s.Text)
	}
	// Output:
	// true "<bos><start_of_turn>"
	// false "user\nHi<end_of_turn>"
	// true "<end_of_turn>"
	// false "\n"
}

// Score tells how likely the model finds a continuation.
func ExampleModel_ScoreText() {
	m, err := systemgemma.Open("", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	paris, err := m.ScoreText(context.Background(), "The capital of France is", " Paris.")
	if err != nil {
		log.Fatal(err)
	}
	pizza, err := m.ScoreText(context.Background(), "The capital of France is", " pizza.")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(paris.Sum > pizza.Sum)
	// Output: true
}
