package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rich is an answer with what Markdown has.
const rich = "Gemma 2 has **26 layers**; every other one looks back over the whole context:\n\n| layer | attention | window |\n|---|---|---:|\n| 0 | local | 4096 |\n| 1 | global | 8192 |\n\n" +
	"In Go it is one call:\n\n```go\nfor e, err := range m.Chat(ctx, messages, nil) {\n\tfmt.Print(e.Text)\n}\n```\n\n- it streams\n- `ctx` stops it\n"

// tour walks through the views for a look at them.
func TestTour(t *testing.T) {
	s := newScript(t)
	s.Answer = func(m []message) string {
		said := m[len(m)-1].Content
		switch {
		case strings.Contains(said, "layers"):
			return rich
		case m[0].Role == "system" && strings.Contains(m[0].Content, "pirate"):
			return "Arr! The capital of France be Paris, matey!"
		case m[0].Role == "system":
			return "The capital of France is Paris, my dear friend."
		}
		return "The capital of France is Paris."
	}
	for _, theme := range []string{"light", "dark"} {
		for name, size := range map[string]size{"desktop": desktop, "phone": phone} {
			t.Run(theme+"-"+name, func(t *testing.T) {
				p := open(t, s.URL, size)
				p.theme(theme)
				p.accessible("welcome")
				p.picture("welcome-" + t.Name()[9:])
				p.press("Options")
				p.until(named("Temperature"))
				p.accessible("options")
				p.picture("options-" + t.Name()[9:])
				p.pressAt(`document.querySelector("#panel input[type=checkbox]")`, "Token probabilities")
				p.press("Close options")
				p.write("System prompt", "Talk like a pirate.")
				p.say("What is the capital of France?")
				p.press("Token probabilities")
				p.accessible("tokens")
				p.picture("tokens-" + t.Name()[9:])
				p.press("Token probabilities")
				p.say("How many layers has it?")
				p.accessible("chat")
				p.picture("chat-" + t.Name()[9:])
				p.press("What the model sees")
				p.until(`document.querySelector(".prompt")`)
				p.press("Tokens")
				p.accessible("inspect")
				p.picture("inspect-" + t.Name()[9:])
				p.press("Close")
				if size.mobile {
					p.press("Conversations")
					time.Sleep(300 * time.Millisecond) // it slides in, which no test waits for but a picture
					p.picture("sidebar-" + t.Name()[9:])
				}
				p.press("New conversation")
				p.press("Compare two system prompts")
				p.write("System prompt A", "Talk like a pirate.")
				p.write("System prompt B", "You are extremely polite.")
				p.write("Message", "What is the capital of France?")
				p.enter()
				p.until(`document.querySelectorAll(".message.assistant").length === 2`)
				p.rest()
				p.accessible("compare")
				p.picture("compare-" + t.Name()[9:])
				if size.mobile {
					p.press("Conversations")
				}
				p.press("Dashboard")
				p.until(`document.querySelectorAll(".chart .line[d]").length >= 6`)
				time.Sleep(2 * time.Second)
				p.accessible("dashboard")
				p.picture("dashboard-" + t.Name()[9:])
				fmt.Println()
			})
		}
	}
}
