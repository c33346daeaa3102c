package browser

import (
	"strings"
	"testing"
)

// rich is an answer with what Markdown has.
const rich = "Gemma 2 has **26 layers**; every other one looks back over the whole context:\n\n| layer | attention | window |\n|---|---|---:|\n| 0 | local | 4096 |\n| 1 | global | 8192 |\n\n" +
	"In Go it is one call:\n\n```go\nfor e, err := range m.Chat(ctx, messages, nil) {\n\tfmt.Print(e.Text)\n}\n```\n\n- it streams\n- `ctx` stops it\n"

// Every view, at both sizes and in both themes, passes the checks of accessibility.
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
	for name, size := range map[string]size{"desktop": desktop, "phone": phone} {
		t.Run(name, func(t *testing.T) {
			p := open(t, s.URL, size)
			p.view("welcome")
			p.press("Options")
			p.until(named("Temperature"))
			p.view("options")
			p.pressAt(`document.querySelector("#panel input[type=checkbox]")`, "Token probabilities")
			p.press("Close options")
			p.write("System prompt", "Talk like a pirate.")
			p.say("What is the capital of France?")
			p.press("Token probabilities")
			p.view("tokens")
			p.press("Token probabilities")
			p.say("How many layers has it?")
			p.view("chat")
			p.press("What the model sees")
			p.until(`document.querySelector(".prompt")`)
			p.view("prompt")
			p.press("Tokens")
			p.view("inspect")
			p.press("Close")
			if size.mobile {
				p.press("Conversations")
				p.view("sidebar")
			}
			p.press("New conversation")
			p.press("Compare two system prompts")
			p.write("System prompt A", "Talk like a pirate.")
			p.write("System prompt B", "You are extremely polite.")
			p.write("Message", "What is the capital of France?")
			p.enter()
			p.until(`document.querySelectorAll(".message.assistant").length === 2`)
			p.rest()
			p.view("compare")
			if size.mobile {
				p.press("Conversations")
			}
			p.press("Dashboard")
			p.until(`document.querySelector(".chart .line").getAttribute("d")?.split("L").length > 3`)
			p.view("dashboard")
		})
	}
}

// view checks what is in sight, and takes its picture in both themes.
func (p *tab) view(name string) {
	p.Helper()
	p.accessible(name)
	for _, theme := range []string{"light", "dark"} {
		p.theme(theme)
		p.picture(strings.TrimPrefix(p.Name(), "TestTour/") + "-" + name + "-" + theme)
	}
}
