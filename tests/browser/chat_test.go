package browser

import (
	"strings"
	"testing"
	"time"
)

// What is asked comes with the system prompt, the answer is shown and read out, and all is there after the page is opened again.
func TestChat(t *testing.T) {
	s := newScript(t)
	p := open(t, s.URL, desktop)
	p.write("System prompt", "Talk like a pirate.")
	p.until(named("Persona") + `.selectedOptions[0].text === "Pirate"`)
	p.say("Hello there")
	if got := p.answers(); len(got) != 1 || got[0] != "You said: Hello there" {
		t.Fatalf("answers: %q", got)
	}
	p.until(`document.getElementById("status").textContent === "Answer: You said: Hello there"`)
	p.say("And you?")
	q := s.asked()
	if len(q) != 2 || len(q[1].Messages) != 4 || q[1].Messages[0] != (message{"system", "Talk like a pirate."}) || q[1].Messages[2] != (message{"assistant", "You said: Hello there"}) || q[1].Messages[3] != (message{"user", "And you?"}) {
		t.Errorf("the server was asked: %+v", q)
	}
	p.until(`/4 tokens/.test(document.querySelectorAll(".facts")[1].textContent)`)
	p.until(`/of 2,048 tokens/.test(document.querySelector(".gauge").textContent)`)
	p.load()
	if got := p.answers(); len(got) != 2 || got[1] != "You said: And you?" {
		t.Errorf("after opening the page again, answers: %q", got)
	}
	p.until(named("System prompt") + `.value === "Talk like a pirate."`)
	if n := eval[int](p, `document.querySelectorAll(".conversations li").length`); n != 1 {
		t.Errorf("%d conversations, want 1", n)
	}
}

// Stop ends the answer for the server too, and keeps what came; it can be continued.
func TestStopAndContinue(t *testing.T) {
	s := newScript(t)
	s.Pause = 40 * time.Millisecond
	s.Answer = func(m []message) string {
		if m[len(m)-1].Role == "assistant" {
			return "and the end."
		}
		return strings.Repeat("more and ", 2000)
	}
	p := open(t, s.URL, desktop)
	p.write("Message", "Go on")
	p.press("Send")
	p.until(`document.querySelector(".message.assistant .message-body").innerText.includes("more")`)
	p.press("Stop")
	p.rest()
	p.until(`/stopped/.test(document.querySelector(".facts").textContent)`)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s.mu.Lock()
		left := s.left
		s.mu.Unlock()
		if left == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the server was not told that nobody waits for the answer")
		}
	}
	before := p.answers()[0]
	if before == "" || len(before) > 10_000 {
		t.Fatalf("kept %d characters", len(before))
	}
	p.press("Continue this answer")
	p.rest()
	p.until(`document.querySelector(".message.assistant .message-body").innerText.includes("the end.")`)
	q := s.asked()
	last := q[len(q)-1]
	if got := p.answers()[0]; !strings.HasPrefix(got, before) || !last.Continue || !strings.HasPrefix(last.Messages[len(last.Messages)-1].Content, before) {
		t.Errorf("continued as %.60q..., asked %+v; it began with %.60q...", got, last, before)
	}
}

// While the prompt is read the page says how far; an answer that breaks off says so and can be asked for again.
func TestReadingAndFailing(t *testing.T) {
	s := newScript(t)
	s.Pause, s.Reading = 100*time.Millisecond, 50
	p := open(t, s.URL, desktop)
	p.write("Message", "long")
	p.press("Send")
	p.until(`/Reading the prompt: \d+ % · \d+ of 50 tokens/.test(document.querySelector(".reading").textContent) && document.querySelector(".reading progress").value > 0`)
	s.CloseClientConnections()
	p.until(`document.querySelector(".message .error")`)
	s.mu.Lock()
	s.Reading = 0
	s.mu.Unlock()
	p.press("Try again")
	p.rest()
	p.until(`document.querySelector(".message.assistant .message-body").innerText === "You said: long"`)
	if n := eval[int](p, `document.querySelectorAll(".message").length`); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

// An edited message and a second answer are branches: the first ones stay, one step away.
func TestBranches(t *testing.T) {
	n := 0
	s := newScript(t)
	s.Answer = func(m []message) string { n++; return strings.Repeat("x", n) + " " + m[len(m)-1].Content }
	p := open(t, s.URL, desktop)
	p.say("first")
	p.press("Another answer")
	p.until(`document.querySelector(".variants")?.innerText.trim() === "2/2"`)
	p.rest()
	p.press("Previous variant")
	if got := p.answers(); got[0] != "x first" {
		t.Errorf("the first answer: %q", got)
	}
	p.press("Edit and ask again")
	p.write("Text of the message", "second")
	p.press("Ask")
	p.until(`document.querySelector(".message.assistant").innerText.includes("xxx second")`)
	p.rest()
	p.load()
	if got := p.answers(); got[0] != "xxx second" {
		t.Errorf("after opening the page again: %q", got)
	}
	p.press("Previous variant")
	if got := p.answers(); got[0] != "x first" {
		t.Errorf("the first branch: %q", got)
	}
	p.press("Delete this and what follows")
	p.until(`document.querySelector(".message.user").innerText.includes("second")`)
	p.press("Undo")
	p.until(`document.querySelector(".message.user .variants")?.innerText.trim() === "1/2"`)
	// An edited answer is what the model goes on from.
	p.press("Edit, as a new branch")
	p.write("Text of the message", "edited")
	p.press("Save as a branch")
	p.until(`document.querySelector(".message.assistant .message-body").innerText === "edited"`)
	p.say("next")
	q := s.asked()
	if got := q[len(q)-1].Messages[1]; got != (message{"assistant", "edited"}) {
		t.Errorf("the server was told %+v", got)
	}
}

// Two system prompts get the same question; one of them is then kept.
func TestSideBySide(t *testing.T) {
	s := newScript(t)
	s.Answer = func(m []message) string { return m[0].Content + " " + m[len(m)-1].Content }
	p := open(t, s.URL, desktop)
	p.press("Compare two system prompts")
	p.write("System prompt A", "AAA")
	p.write("System prompt B", "BBB")
	p.write("Message", "same")
	p.enter()
	p.until(`document.querySelectorAll(".message.assistant").length === 2`)
	p.rest()
	if got := p.answers(); len(got) != 2 || got[0] != "AAA same" || got[1] != "BBB same" {
		t.Errorf("answers: %q", got)
	}
	p.load()
	if got := p.answers(); len(got) != 2 {
		t.Errorf("after opening the page again: %q", got)
	}
	p.press("Keep only B")
	p.until(`document.querySelectorAll(".lane").length === 1`)
	if got := p.answers(); len(got) != 1 || got[0] != "BBB same" {
		t.Errorf("kept: %q", got)
	}
}

// Options go with each request under the API's names, wrong ones are refused, presets fill them in.
func TestOptions(t *testing.T) {
	s := newScript(t)
	p := open(t, s.URL, desktop)
	p.press("Options")
	p.write("Temperature", "0.5\t")
	p.write("Stop texts", "END\t")
	p.write("Longest answer", "-3\t")
	p.until(`document.getElementById("option-max_tokens-problem").textContent.includes("want a whole number from 1")`)
	eval[bool](p, `((e) => { e.value = "systemgemma2"; e.dispatchEvent(new Event("change")); return true; })(`+named("Render mode")+`)`)
	p.pressAt(`document.querySelector("#panel input[type=checkbox]")`, "Token probabilities")
	p.say("one")
	q := s.asked()[0]
	if q.Temperature == nil || *q.Temperature != 0.5 || len(q.Stop) != 1 || q.Stop[0] != "END" || q.SystemMode != "systemgemma2" || !q.Logprobs || q.Model != "mini" {
		t.Errorf("the server was asked %+v", q)
	}
	p.until(`/mode systemgemma2/.test(document.querySelector(".facts").textContent)`)
	p.press("Token probabilities")
	p.until(`document.querySelectorAll(".token").length === 3`)
	p.key("ArrowRight", "ArrowRight", 39, 0) // the toggle has the focus: nothing moves
	eval[bool](p, `(document.querySelector(".token").focus(), true)`)
	p.key("ArrowRight", "ArrowRight", 39, 0)
	p.until(`document.querySelector(".alternatives").innerText.includes("Token 2 of 3") && document.activeElement === document.querySelectorAll(".token")[1]`)
	p.until(`document.querySelectorAll(".alternatives li").length === 2`)
	// A preset replaces what was set.
	eval[bool](p, `((e) => { e.value = "Factual"; e.dispatchEvent(new Event("change")); return true; })(`+named("Preset")+`)`)
	p.until(`document.getElementById("option-temperature").value === "0.3" && document.getElementById("option-stop").value === ""`)
	p.say("two")
	if q := s.asked()[1]; q.Temperature == nil || *q.Temperature != 0.3 || len(q.Stop) != 0 {
		t.Errorf("with a preset the server was asked %+v", q)
	}
}

// Conversations are found by their words, renamed, deleted and brought back.
func TestConversations(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	p.say("about apples")
	p.press("New conversation")
	p.say("about pears")
	p.write("Search conversations", "apples")
	p.until(`document.querySelectorAll(".conversations li").length === 1`)
	p.press("More about about apples")
	p.press("Rename")
	p.write("Name", "Fruit")
	p.press("Save")
	p.until(`document.querySelector(".conversations .open").innerText === "Fruit"`)
	p.load()
	p.press("More about Fruit")
	p.press("Delete")
	p.until(`document.querySelectorAll(".conversations li").length === 1`)
	p.press("Undo")
	p.until(`document.querySelectorAll(".conversations li").length === 2`)
	p.load()
	p.until(`document.querySelectorAll(".conversations li").length === 2`)
	// A persona of one's own stays.
	p.write("System prompt", "You are a gardener.")
	p.press("Save as a persona")
	p.write("Name", "Gardener")
	p.press("Save")
	p.until(named("Persona") + `.selectedOptions[0].text === "Gardener"`)
	p.load()
	p.until(`[...` + named("Persona") + `.options].some((o) => o.text === "Gardener")`)
}

// A server with keys is asked with one; it is stored only if that was asked for.
func TestKey(t *testing.T) {
	s := newScript(t)
	s.Key = "secret-key"
	p := open(t, s.URL, desktop)
	p.until(`document.querySelector("dialog[open]")?.innerText.includes("wants an API key")`)
	p.write("Key", "secret-key")
	p.press("Use key")
	p.until(`!document.querySelector("dialog")`)
	p.say("hello")
	if got := p.answers(); got[0] != "You said: hello" {
		t.Errorf("answers: %q", got)
	}
	stored := `JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie]).includes("secret-key")`
	if eval[bool](p, stored) {
		t.Error("the key was stored unasked")
	}
	p.load()
	p.until(`document.querySelector("dialog[open]")`)
	p.write("Key", "secret-key")
	p.pressAt(`document.querySelector("dialog input[type=checkbox]")`, "Remember")
	p.press("Use key")
	p.until(`!document.querySelector("dialog")`)
	p.load()
	p.say("again")
	if !eval[bool](p, stored) {
		t.Error("the key was not stored, though asked for")
	}
	p.press("API key")
	p.press("Forget the key")
	p.until(`!` + stored)
}

// Two tabs that change the same conversation lose nothing: the one that stores later gets a conversation of its own.
func TestTwoTabs(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	p.say("begun")
	p.until(`!document.documentElement.dataset.unsaved`)
	other := p.another()
	other.until(`document.querySelectorAll(".message").length === 2`)
	p.say("from the first")
	p.until(`!document.documentElement.dataset.unsaved`)
	other.say("from the second")
	other.until(`document.querySelectorAll(".conversations li").length === 1 && document.querySelector(".title").innerText.includes("of another tab")`)
	other.load()
	other.until(`document.querySelectorAll(".conversations li").length === 2`)
	for _, words := range []string{"from the first", "from the second"} {
		other.write("Search conversations", words)
		other.until(`document.querySelectorAll(".conversations li").length === 1`)
	}
}

// A first visit costs little: what was asked for, and how much of it came over the wire.
func TestFirstVisit(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	const cost = `(() => { const all = performance.getEntriesByType("resource").filter((r) => r.name.includes("/ui/")).concat(performance.getEntriesByType("navigation")); return [all.length, all.reduce((n, r) => n + r.transferSize, 0), performance.getEntriesByName("first-contentful-paint")[0]?.startTime || -1]; })()`
	first := eval[[]float64](p, cost)
	t.Logf("first visit: %.0f requests, %.0f bytes over the wire, first paint after %.0f ms", first[0], first[1], first[2])
	if first[0] < 20 || first[0] > 60 || first[1] < 50_000 || first[1] > 120_000 {
		t.Errorf("want 20 to 60 requests, 50,000 to 120,000 bytes")
	}
	p.load()
	again := eval[[]float64](p, cost)
	t.Logf("second visit: %.0f bytes over the wire, first paint after %.0f ms", again[1], again[2])
	if again[1] > 5_000 {
		t.Errorf("the second visit: %.0f bytes over the wire, want at most 5,000", again[1])
	}
}
