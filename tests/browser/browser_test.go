package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what must come: generous, since machines of tests are busy.
const patience = 40 * time.Second

// The size of the pictures and of most tests: a laptop's window, and a phone.
var (
	desktop = size{1280, 800, false}
	phone   = size{390, 844, true}
)

type size struct {
	width, height int64
	mobile        bool
}

var browser struct {
	sync.Once
	ctx context.Context
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if browser.ctx != nil {
		_ = chromedp.Cancel(browser.ctx)
	}
	os.Exit(code)
}

// start starts the one browser of all tests.
func start() {
	name := ""
	for _, n := range []string{"chromium", "chromium-browser", "google-chrome", "chrome", "headless-shell"} {
		if path, err := exec.LookPath(n); err == nil && name == "" {
			name = path
		}
	}
	if name == "" {
		browser.err = fmt.Errorf("no Chromium here: want chromium, google-chrome or headless-shell in PATH")
		return
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(name), chromedp.Headless, chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true)}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses its sandbox to root
	}
	alloc, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ := chromedp.NewContext(alloc)
	browser.ctx = ctx
	browser.err = chromedp.Do(ctx)
}

// tab is a page of its own in the browser, with a storage of its own.
type tab struct {
	*testing.T
	ctx    context.Context
	origin string

	mu     sync.Mutex
	faults []string // guarded by mu: exceptions, errors of the console, requests to other hosts
}

// open shows the page of a server.
func open(t *testing.T, address string, s size) *tab {
	t.Helper()
	browser.Do(start)
	if browser.err != nil {
		if os.Getenv("SYSTEMGEMMA_WANT_BROWSER") != "" {
			t.Fatal(browser.err)
		}
		t.Skip(browser.err)
	}
	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	return newTab(t, ctx, address, s)
}

// another opens the same page in a second tab, which shares the storage of the first.
func (p *tab) another() *tab {
	p.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx)
	p.Cleanup(cancel)
	return newTab(p.T, ctx, p.origin, desktop)
}

func newTab(t *testing.T, ctx context.Context, address string, s size) *tab {
	t.Helper()
	p := &tab{T: t, ctx: ctx, origin: address}
	if err := chromedp.Do(ctx); err != nil { // opens the tab, which ends with this context
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, p.heard); err != nil {
		t.Fatal(err)
	}
	p.resize(s)
	p.theme("light")
	p.load()
	t.Cleanup(func() {
		if t.Failed() {
			p.picture(strings.ReplaceAll(t.Name(), "/", "-") + "-failed")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, f := range p.faults {
			t.Errorf("the browser reports: %s", f)
		}
	})
	return p
}

// heard notes what must not be.
func (p *tab) heard(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		fault = "exception: " + e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			fault += " " + x.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeAssert {
			fault = fmt.Sprintf("console: %v", e.Args)
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, p.origin+"/") && !strings.HasPrefix(u, "blob:"+p.origin+"/") && u != "about:blank" {
			fault = "request to " + u
		}
	}
	if fault != "" {
		p.mu.Lock()
		p.faults = append(p.faults, fault)
		p.mu.Unlock()
	}
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.Fatal(err)
	}
}

// load opens the page, or opens it again once all is stored.
func (p *tab) load() {
	p.Helper()
	p.until(`!document.documentElement.dataset.unsaved`)
	p.do(chromedp.Navigate(p.origin + "/"))
	p.until(`document.documentElement.dataset.ready === "true"`)
}

func (p *tab) resize(s size) {
	p.Helper()
	options := []chromedp.EmulateViewportOption{}
	if s.mobile {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	p.do(chromedp.EmulateViewport(s.width, s.height, options...))
}

// theme has the system prefer light or dark, and no motion, so that nothing is half way when a test looks.
func (p *tab) theme(name string) {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
		return err
	}))
}

// eval is the value of an expression in the page.
func eval[T any](p *tab, expression string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	x, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
	return x
}

// until waits for an expression to be true.
func (p *tab) until(expression string) {
	p.Helper()
	for end := time.Now().Add(patience); !eval[bool](p, "!!("+expression+")"); time.Sleep(30 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("want %s\nthe page shows: %s", expression, eval[string](p, `document.getElementById("main").innerText.slice(0, 1500)`))
		}
	}
}

// quote is a text as JavaScript.
func quote(text string) string {
	b, _ := json.Marshal(text) // texts can be
	return string(b)
}

// named finds a visible control by its accessible name: the browser's own idea of it.
func named(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("button, summary, select, input, textarea")].filter((e) => e.checkVisibility() && (!document.querySelector("dialog[open]") || e.closest("dialog"))).find((e) => (e.getAttribute("aria-label") || e.labels?.[0]?.innerText || e.innerText || "").trim().startsWith(%s))`, quote(name))
}

// press clicks a control as a pointer does: what lies above it would get the click.
func (p *tab) press(name string) {
	p.Helper()
	p.until(named(name))
	p.pressAt(named(name), name)
}

func (p *tab) pressAt(element, name string) {
	p.Helper()
	var at []float64
	for end := time.Now().Add(patience); len(at) != 2; time.Sleep(30 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("%s is disabled, or something covers it", name)
		}
		at = eval[[]float64](p, fmt.Sprintf(`((e) => { e.scrollIntoView({block: "nearest"}); const b = e.getBoundingClientRect(), x = b.x + b.width / 2, y = b.y + b.height / 2; const hit = document.elementFromPoint(x, y); return e.disabled || !(hit === e || e.contains(hit)) ? [] : [x, y]; })(%s)`, element))
	}
	p.do(chromedp.MouseClickXY(at[0], at[1]))
}

// write types into a control.
func (p *tab) write(name, text string) {
	p.Helper()
	p.until(named(name))
	eval[bool](p, fmt.Sprintf(`((e) => { e.focus(); e.select?.(); return true; })(%s)`, named(name)))
	p.do(chromedp.KeyEvent(text))
}

// enter presses the key: as one event, whose text the page may prevent.
func (p *tab) enter() {
	p.Helper()
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for _, e := range []input.DispatchKeyEventParams{
			{Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13},
			{Type: input.DispatchKeyEventTypeKeyUp, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13},
		} {
			if _, err := chromedp.Call(ctx, input.DispatchKeyEvent, e); err != nil {
				return err
			}
		}
		return nil
	}))
}

// say sends a message and waits for the answer's end.
func (p *tab) say(text string) {
	p.Helper()
	n := eval[int](p, `document.querySelectorAll(".message.assistant").length`)
	p.write("Message", text)
	p.enter()
	p.until(fmt.Sprintf(`document.querySelectorAll(".message.assistant").length > %d`, n))
	p.rest()
}

// rest waits until no answer grows.
func (p *tab) rest() {
	p.Helper()
	p.until(`document.querySelectorAll('.message[aria-busy="true"]').length === 0`)
}

// answers are the texts of the answers in sight.
func (p *tab) answers() []string {
	p.Helper()
	return eval[[]string](p, `[...document.querySelectorAll(".message.assistant .message-body")].map((e) => e.innerText.trim())`)
}
