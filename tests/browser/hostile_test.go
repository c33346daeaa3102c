package browser

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// payloads are texts that would run a script, or ask another host, on a page that takes text for HTML: one a line, with the escapes
// of a Go string.
//
//go:embed testdata/payloads.txt
var payloads string

func hostile(t *testing.T) (list []string) {
	t.Helper()
	for line := range strings.Lines(payloads) {
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.TrimSuffix(line, "\n"), `"`, `\"`) + `"`)
		if err != nil { // it escapes quotes itself
			text = strings.TrimSuffix(line, "\n")
		}
		list = append(list, text)
	}
	if len(list) < 150 {
		t.Fatalf("%d payloads, want at least 150", len(list))
	}
	return list
}

// calm says that nothing has run, and that the page holds no element and no attribute that it should not.
const calm = `(() => {
	const bad = [];
	if (window.harm) bad.push("a script ran: " + window.harm);
	for (const e of document.querySelectorAll(".message-body *, .system *, .conversations *, .title, .toast *, dialog *")) {
		if (/^(SCRIPT|IMG|IFRAME|OBJECT|EMBED|STYLE|LINK|META|BASE|VIDEO|AUDIO|SOURCE|TRACK|MATH|FRAME|FRAMESET|AREA|PICTURE|TEMPLATE|FOREIGNOBJECT|MARQUEE|APPLET)$/i.test(e.tagName)) bad.push("an element: " + e.outerHTML.slice(0, 100));
		if (e.closest(".message-body") && !e.closest("form.edit") && /^(FORM|INPUT|SELECT)$/.test(e.tagName)) bad.push("a control: " + e.outerHTML.slice(0, 100));
		for (const a of e.attributes) {
			if (/^on|^(style|srcdoc|formaction|ping|background|srcset)$/.test(a.name) && !(a.name === "style" && e.matches(".bar, textarea"))) bad.push("an attribute: " + e.outerHTML.slice(0, 100));
			if (/^(href|src|action|xlink:href)$/.test(a.name) && !/^(https?:|mailto:|$)/.test(a.value)) bad.push("an address: " + a.value.slice(0, 100));
		}
		if (e.tagName === "A" && (e.target !== "_blank" || !e.rel.includes("noopener"))) bad.push("a link that keeps a hold of the page: " + e.outerHTML.slice(0, 100));
	}
	if (document.querySelectorAll("#composer").length !== 1 || document.querySelectorAll("#status").length !== 1) bad.push("an element that takes the place of another");
	return bad;
})()`

func (p *tab) calm(where string) {
	p.Helper()
	for _, b := range eval[[]string](p, calm) {
		p.Errorf("%s: %s", where, b)
	}
}

// Hostile text is shown as text, whoever says it, and still is after the page is opened again: no script runs, no host is asked,
// no element appears that Markdown doesn't have.
func TestHostileText(t *testing.T) {
	s := newScript(t)
	list := hostile(t)
	all := strings.Join(list, "\n\n")
	s.Answer = func(m []message) string {
		n, err := strconv.Atoi(m[len(m)-1].Content)
		if err != nil || n >= len(list) {
			return all
		}
		return list[n]
	}
	p := open(t, s.URL, desktop)
	if err := chromedp.Listen(p.ctx, func(e any) {
		if d, ok := e.(*page.EventJavascriptDialogOpening); ok {
			p.mu.Lock()
			p.faults = append(p.faults, "a dialog opened: "+d.Message)
			p.mu.Unlock()
		}
	}); err != nil {
		t.Fatal(err)
	}
	const trap = `window.pwned = (n) => { window.harm = (window.harm || "") + " " + n; }; true`
	eval[bool](p, trap)

	// Each as an answer: rendered alone, by the page's own module, in the page's own element.
	bad := eval[[]string](p, fmt.Sprintf(`(async (list) => {
		const base = document.querySelector("script[type=module]").src;
		const { render } = await import(new URL("markdown.js", base));
		const { message } = await import(new URL("message.js", base));
		const { app } = await import(new URL("state.js", base));
		const { add, newLane } = await import(new URL("tree.js", base));
		const place = document.querySelector(".messages");
		const bad = [];
		for (const text of list) {
			for (const more of [{}, {error: text}, {finish: text}, {mode: text}, {tokens: [{text, p: 0.5, top: [[text, 0.5]]}]}]) {
				for (const role of ["user", "assistant"]) {
					const lane = newLane();
					place.replaceChildren(message(app.current, lane, add(lane, "", role, text, more)));
					for (const b of document.querySelectorAll(".message button[data-toggle]")) b.click();
					for (const wrong of %s) bad.push(text.slice(0, 80) + ": " + wrong);
				}
			}
			for (const live of [true, false]) place.replaceChildren(render(text, live));
		}
		await new Promise((done) => setTimeout(done, 500)); // what loads, fails or begins of itself
		return bad.concat(%s);
	})(%s)`, calm, calm, quoteAll(list)))
	for _, b := range bad {
		t.Error(b)
	}

	// All in one conversation: as system prompt, question and answer; the title is the first question.
	p.load()
	eval[bool](p, trap)
	eval[bool](p, `((e) => { e.value = `+quote(all)+`; e.dispatchEvent(new Event("input")); return true; })(`+named("System prompt")+`)`)
	eval[bool](p, `((e) => { e.value = `+quote(all)+`; e.dispatchEvent(new Event("input")); return true; })(document.getElementById("composer"))`)
	p.press("Send")
	p.until(`document.querySelectorAll(".message.assistant").length === 1`)
	p.rest()
	p.calm("conversation")
	said := eval[string](p, `document.querySelector(".message.assistant .message-body").innerHTML`)
	eval[bool](p, `(`+named("More about")+`.click(), true)`)
	p.calm("dialog")
	p.press("Close")
	p.load()
	eval[bool](p, trap)
	p.until(`document.querySelectorAll(".message.assistant").length === 1`)
	p.calm("opened again")
	if again := eval[string](p, `document.querySelector(".message.assistant .message-body").innerHTML`); again != said {
		t.Error("the answer looks different after the page is opened again")
	}
	if eval[bool](p, `!!window.harm`) {
		t.Error("a script ran")
	}
}

func quoteAll(list []string) string {
	b, _ := json.Marshal(list) // texts can be
	return string(b)
}

// The browser itself forbids scripts, connections and HTML from anywhere but the page's files.
func TestPolicyHolds(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	for what, try := range map[string]string{
		"HTML from text":         `(() => { try { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); return false } catch (e) { return e instanceof TypeError } })()`,
		"a script by its text":   `(() => { const s = document.createElement("script"); try { s.text = "window.ran = 1"; document.body.append(s) } catch { } return !window.ran })()`,
		"an attribute's script":  `(() => { const b = document.createElement("button"); try { b.setAttribute("onclick", "window.ran = 1") } catch { } document.body.append(b); b.click(); b.remove(); return !window.ran })()`,
		"a style of an element":  `(() => { const b = document.createElement("p"); b.setAttribute("style", "color: red"); document.body.append(b); const red = getComputedStyle(b).color === "rgb(255, 0, 0)"; b.remove(); return !red })()`,
		"HTML of the sanitizer":  `(() => { try { trustedTypes.createPolicy("mine", {createHTML: (x) => x}); return false } catch { return true } })()`,
		"a frame of another one": `(() => { const f = document.createElement("iframe"); f.src = location.href; document.body.append(f); return new Promise((done) => setTimeout(() => { let inside = false; try { inside = !!f.contentDocument?.getElementById("app") } catch { } f.remove(); done(!inside) }, 500)) })()`,
	} {
		if !eval[bool](p, try) {
			t.Errorf("the browser allows %s", what)
		}
	}
	p.mu.Lock()
	p.faults = nil // those tries are reported to the console
	p.mu.Unlock()
}
