package browser

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// built is the program, built once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "systemgemma-browser-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "systemgemma")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	c := exec.Command("go", "build", "-o", name, "./cmd/systemgemma")
	c.Dir = filepath.Join("..", "..")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	c.Stderr = os.Stderr
	return name, c.Run()
})

var greeting = regexp.MustCompile(`http://[0-9.:]+`)

// serve runs `systemgemma serve` with Mini, at a port that is free.
func serve(t *testing.T) (address string) {
	t.Helper()
	name, err := built()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(name, "serve", "--listen", "127.0.0.1:0")
	c.Env = append(os.Environ(), "HOME="+t.TempDir(), "SYSTEMGEMMA_HOME="+t.TempDir())
	var log bytes.Buffer
	c.Stderr = &log
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it may have ended
		_ = c.Wait()         // killed
		if t.Failed() {
			t.Logf("the server's log:\n%s", log.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if address = greeting.FindString(line); address == "" {
		t.Fatalf("serve says %q (%v); want its address", line, err)
	}
	return address
}

const pirate = "Arr! The capital of France be Paris, matey!"

// The page of the program itself, with the model inside it: the system prompt is obeyed, alone and side by side, the prompt is shown
// as the model sees it, conversations stay, an answer can be stopped, the dashboard has numbers.
func TestMini(t *testing.T) {
	address := serve(t)
	p := open(t, address, desktop)
	p.theme("light")
	p.press("Pirate")
	p.press("Options")
	p.pressAt(`document.querySelector("#panel input[type=checkbox]")`, "Token probabilities")
	p.press("Close options")
	p.say("What is the capital of France?")
	if got := p.answers(); len(got) != 1 || got[0] != pirate {
		t.Fatalf("answers: %q, want %q", got, pirate)
	}
	p.until(`/\d+ tokens · [\d.,]+ tok\/s · first after/.test(document.querySelector(".facts").textContent)`)
	p.say("And Italy?")
	if got := p.answers(); got[1] != "Arr! The capital of Italy be Rome, matey!" {
		t.Errorf("the second answer: %q", got[1])
	}
	p.until(`/[1-9][0-9]* of 2,048 tokens/.test(document.querySelector(".gauge").textContent)`)
	p.picture("page-chat")

	// Each token has its probability; the chosen one is the likeliest, since Mini is greedy.
	p.press("Token probabilities")
	p.until(`document.querySelector(".token-text").innerText === ` + quote(pirate))
	p.until(`document.querySelectorAll(".token").length > 5 && document.querySelectorAll(".alternatives li").length >= 5 && document.querySelector(".alternatives li").className === "chosen"`)
	eval[bool](p, `(document.querySelectorAll(".token")[4].focus(), true)`)
	p.picture("page-tokens")
	p.press("Token probabilities")

	// Reload: all is still there.
	p.load()
	if got := p.answers(); len(got) != 2 || got[0] != pirate {
		t.Errorf("after opening the page again: %q", got)
	}

	// Side by side.
	p.press("New conversation")
	p.press("Compare two system prompts")
	p.write("System prompt A", "Talk like a pirate.")
	p.write("System prompt B", "Answer in one word.")
	p.write("Message", "What is the capital of France?")
	p.enter()
	p.until(`document.querySelectorAll(".message.assistant").length === 2`)
	p.rest()
	if got := p.answers(); got[0] != pirate || got[1] != "Paris" {
		t.Errorf("side by side: %q", got)
	}
	p.theme("dark")
	p.until(`/[1-9][0-9]* of 2,048 tokens/.test(document.querySelector(".gauge").textContent)`)
	p.picture("page-compare")

	p.press("Dashboard")
	if os.Getenv("SYSTEMGEMMA_SCREENSHOTS") != "" { // something to see: work that comes and goes
		eval[bool](p, `((async () => { for (let i = 0; i < 200; i++) { await fetch("v1/completions", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({prompt: "A story of " + i + ":", max_tokens: 40 + 2 * (i % 90), ignore_eos: true})}).then((r) => r.text()); await new Promise((done) => setTimeout(done, 900 * (1 + Math.sin(i / 4)))); } })(), true)`)
		p.until(`document.querySelector(".chart .line").getAttribute("d")?.split("L").length > 25`)
	}
	p.until(`document.querySelector(".dashboard td")?.innerText.includes("mini") && /[1-9]/.test(document.querySelector(".facts-list").innerText)`)
	p.until(`document.querySelector(".chart .line").getAttribute("d")?.split("L").length > 3`)
	p.picture("page-dashboard")

	q := open(t, address, phone)
	q.theme("light")
	q.press("Pirate")
	q.press("What is the capital of France?")
	q.until(`document.querySelectorAll(".message.assistant").length === 1`)
	q.rest()
	q.until(`/[1-9][0-9]* of 2,048 tokens/.test(document.querySelector(".gauge").textContent)`)
	q.picture("page-phone")
}

// Stop ends the work of the server, not only its display.
func TestStopMini(t *testing.T) {
	p := open(t, serve(t), desktop)
	p.press("Options")
	p.write("Longest answer", "1000000\t") // the server clamps it to the context
	p.press("Close options")
	eval[bool](p, `(async () => { // an answer that never ends by itself
		const { app } = await import(new URL("state.js", document.querySelector("script[type=module]").src));
		app.current.options.ignore_eos = true;
		return true;
	})()`)
	p.write("Message", "Tell me a story.")
	p.press("Send")
	p.until(`document.querySelector(".message.assistant .message-body").innerText.length > 20`)
	p.press("Stop")
	p.rest()
	p.until(`/stopped/.test(document.querySelector(".facts").textContent)`)
	for end := time.Now().Add(patience); eval[int](p, `fetch("status").then((r) => r.json()).then((s) => s.requests.running)`) != 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server still works for nobody")
		}
	}
	if n := len(p.answers()[0]); n < 20 || n > 200_000 {
		t.Errorf("kept %d characters", n)
	}
}

// Every option of the page is one that the server honours: it takes a value in range and refuses what is none, by the option's name.
func TestOptionsMini(t *testing.T) {
	p := open(t, serve(t), desktop)
	for _, wrong := range eval[[]string](p, `(async () => {
		const { fields } = await import(new URL("options.js", document.querySelector("script[type=module]").src));
		const wrong = [];
		const beside = (name) => name.startsWith("dry_") ? {dry_multiplier: 1} : name.startsWith("dynatemp_") ? {dynatemp_range: 0.5} : name.startsWith("mirostat_") ? {mirostat: 2} : name.startsWith("xtc_") ? {xtc_probability: 0.5} : name === "repeat_last_n" ? {repeat_penalty: 1.1} : {};
		const ask = (name, value) => fetch("v1/chat/completions", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({messages: [{role: "user", content: "Hello"}], temperature: 0.7, max_tokens: 4, ...beside(name), [name]: value})});
		for (const [name, [, , limits]] of fields) {
			const values = limits === "lines" ? [["a", "b"]] : [limits.min, limits.max, (limits.min + limits.max) / 2];
			for (const v of values) {
				const x = limits.step && Number.isInteger(limits.step) ? Math.floor(v) : v;
				const r = await ask(name, x);
				if (r.status !== 200) wrong.push(name + " " + x + ": " + r.status + " " + await r.text());
			}
			const r = await ask(name, {});
			const text = await r.text();
			if (r.status !== 400 || !text.includes(name)) wrong.push(name + " as an object: " + r.status + " " + text);
		}
		if (fields.size < 25) wrong.push("only " + fields.size + " options");
		return wrong;
	})()`) {
		t.Error(wrong)
	}
}

// What the model sees is the prompt that `systemgemma template` shows, token by token.
func TestInspectMini(t *testing.T) {
	p := open(t, serve(t), desktop)
	p.write("System prompt", "Talk like a pirate.")
	p.write("Message", "<start_of_turn> is text here") // which is no control token
	p.press("What the model sees")
	p.until(`document.querySelector(".prompt")`)
	if got, want := eval[string](p, `document.querySelector(".prompt").innerText`), "<bos>Talk like a pirate.\n<start_of_turn>user\n<start_of_turn> is text here<end_of_turn>\n<start_of_turn>model\n"; strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
		t.Errorf("the prompt: %q, want %q", got, want)
	}
	if got := eval[[]string](p, `[...document.querySelectorAll("mark.control")].map((e) => e.innerText)`); strings.Join(got, " ") != "<bos> <start_of_turn> <end_of_turn> <start_of_turn>" {
		t.Errorf("control tokens: %q", got)
	}
	p.press("Tokens")
	p.until(`document.querySelectorAll(".piece").length > 10`)
	if n := eval[int](p, `document.querySelectorAll(".piece.control").length`); n != 4 {
		t.Errorf("%d control tokens, want 4", n)
	}
	if got := eval[string](p, `document.querySelector(".piece").innerText.replace(/\s+/, " ")`); got != "<bos> 2" {
		t.Errorf("the first token: %q", got)
	}
	p.theme("light")
	p.picture("page-prompt")
}
