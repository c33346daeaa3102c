package browser

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/accessible.js
var accessible string

// accessible checks what is in sight, in both themes.
func (p *tab) accessible(view string) {
	p.Helper()
	for _, theme := range []string{"light", "dark"} {
		p.theme(theme)
		for _, w := range eval[[]string](p, "("+accessible+")()") {
			p.Errorf("%s, %s: %s", view, theme, w)
		}
	}
	p.axe(view)
}

// axe runs axe-core where SYSTEMGEMMA_AXE names it.
func (p *tab) axe(view string) {
	p.Helper()
	name := os.Getenv("SYSTEMGEMMA_AXE")
	if name == "" {
		return
	}
	source, err := os.ReadFile(name)
	if err != nil {
		p.Fatal(err)
	}
	if !eval[bool](p, "!!window.axe") {
		eval[bool](p, string(source)+"\n;true")
	}
	const run = `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + v.help + ": " + n.html.slice(0, 200) + " " + (n.failureSummary || "").replaceAll("\n", " ").slice(0, 200))))`
	for _, v := range eval[[]string](p, run) {
		p.Errorf("%s: axe: %s", view, v)
	}
}

// A check that finds nothing wrong anywhere would be worth nothing: planted faults are found.
func TestAccessibleFindsFaults(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	p.do(chromedp.Evaluate[chromedp.Void](`(() => {
		const add = (tag, attributes) => { const e = document.createElement(tag); Object.assign(e, attributes); document.querySelector("main").append(e); return e; };
		add("button", {id: "nameless"});
		add("p", {id: "faint", textContent: "faint"}).style.color = "#bbb";
		add("p", {id: "faint", textContent: "again"});
		add("section", {id: "unnamed"});
		add("a", {id: "jump", href: "#", textContent: "jump", tabIndex: 3});
		add("label", {htmlFor: "nobody", textContent: "lost"});
	})()`))
	found := strings.Join(eval[[]string](p, "("+accessible+")()"), "\n")
	for _, want := range []string{"no name: <button id=nameless", "contrast 1.", "two elements have the id faint", "a part without a name: <section id=unnamed", "an order of its own for the Tab key: <a id=jump", "for names nobody"} {
		if !strings.Contains(found, want) {
			t.Errorf("the check does not find %q; it found:\n%s", want, found)
		}
	}
}

const alt = 1 // of modifiers

// key presses a key, by its code.
func (p *tab) key(key, code string, number int64, modifiers int64) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
			if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: key, Code: code, WindowsVirtualKeyCode: number, Modifiers: modifiers}); err != nil {
				return err
			}
		}
		return nil
	}))
}

const active = `((e) => e === document.body ? "" : (e.getAttribute("aria-label") || e.innerText || e.labels?.[0]?.innerText || e.placeholder || e.id).trim())(document.activeElement)`

// The keyboard alone reaches every control in the order in which they stand, shows where it is, and leaves no trap.
func TestKeyboard(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	p.say("Hello")
	eval[bool](p, `(document.querySelector(".skip").focus(), document.querySelector(".skip").blur(), true)`) // at the top of the page, after its first link
	want := eval[int](p, `[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0 && !e.matches(".skip")).length`)
	seen := map[string]bool{}
	order := -1
	for i := 0; i < want+5; i++ {
		p.key("Tab", "Tab", 9, 0)
		at := eval[int](p, `[...document.querySelectorAll("*")].indexOf(document.activeElement)`)
		if eval[bool](p, `document.activeElement === document.body`) {
			break
		}
		if at < order {
			t.Errorf("after %d steps the Tab key goes back to %s", i, eval[string](p, active))
		}
		order = at
		seen[fmt.Sprint(at)] = true
		if !eval[bool](p, `((e) => { const s = getComputedStyle(e), box = (x) => x && (parseFloat(getComputedStyle(x).outlineWidth) > 0 && getComputedStyle(x).outlineStyle !== "none"); return e.matches(":focus-visible") && (box(e) || box(e.closest(".composer-box")) || box(e.closest(".system")) || s.top === "8px"); })(document.activeElement)`) {
			t.Errorf("nothing shows that the focus is at %s", eval[string](p, active))
		}
	}
	if len(seen) != want {
		t.Errorf("the Tab key reaches %d controls, want %d", len(seen), want)
	}

	p.key("n", "KeyN", 78, alt)
	p.until(`document.querySelectorAll(".message").length === 0 && document.activeElement.id === "composer"`)
	p.key("s", "KeyS", 83, alt)
	p.until(`document.activeElement.matches(".system textarea")`)
	p.key("k", "KeyK", 75, alt)
	p.until(`document.activeElement.id === "search"`)
	p.key("d", "KeyD", 68, alt)
	p.until(`document.querySelector(".dashboard").checkVisibility()`)
	p.key("m", "KeyM", 77, alt)
	p.until(`document.activeElement.id === "composer"`)
	p.press("Keyboard shortcuts")
	p.until(`document.querySelector("dialog[open]")`)
	p.key("Escape", "Escape", 27, 0)
	p.until(`!document.querySelector("dialog")`)
}
