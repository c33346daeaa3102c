package browser

import (
	"fmt"
	"testing"
)

// modules has names of the page's modules at hand in an expression.
const modules = `const at = (name) => import(new URL(name, document.querySelector("script[type=module]").src));
	const { toJSON, toMarkdown, fromFile, fileName } = await at("portable.js");
	const { add, newLane, path, children, remove, choose, siblings, title } = await at("tree.js");
	const { events } = await at("sse.js");
	const { read, clean, fields } = await at("options.js");
	const { fresh } = await at("state.js");`

// Exported files give back the same conversations: all of it as JSON, what is in sight as Markdown, whatever the texts are.
func TestFilesComeBack(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	got := eval[[]string](p, fmt.Sprintf(`(async (texts) => {
		%s
		const c = fresh();
		c.name = "A name";
		c.options = { temperature: 0.5, stop: ["a", "b"] };
		c.lanes.push(newLane("second <!-- sg:user -->", "merge"));
		c.lanes[0].system = texts.join("\n");
		for (const text of texts) {
			const user = add(c.lanes[0], path(c.lanes[0]).at(-1)?.id || "", "user", text);
			add(c.lanes[0], user.id, "assistant", text, { tokens: [{ text, p: 0.25, top: [["x", 0.5]] }], usage: { prompt: 1, completion: 2, cached: 0 } });
			add(c.lanes[0], user.id, "assistant", "another " + text);
		}
		const shape = (c, all) => JSON.stringify(c.lanes.map((l) => [l.system, l.mode, path(l).map((n) => [n.role, n.text]), all && Object.values(l.nodes).map((n) => [n.text, n.tokens, n.usage, l.nodes[n.parent]?.text]).sort()]));
		const wrong = [];
		const [back] = fromFile("x.json", toJSON([c]));
		if (shape(back, true) !== shape(c, true) || back.name !== c.name || JSON.stringify(back.options) !== JSON.stringify(c.options)) wrong.push("JSON: " + shape(back, true).slice(0, 500));
		if (back.id === c.id) wrong.push("an imported conversation takes the place of another");
		const [md] = fromFile("x.md", toMarkdown(c));
		if (shape(md, false) !== shape(c, false)) wrong.push("Markdown: " + shape(md, false).slice(0, 800) + "\n" + shape(c, false).slice(0, 800));
		if (!/^[\p{L}\p{N} _-]+\.md$/u.test(fileName({ ...c, name: "../../<b>\u0000:*?" }, "md"))) wrong.push("file name " + fileName({ ...c, name: "../../<b>" }, "md"));
		return wrong;
	})(%s)`, modules, quoteAll(append(hostile(t), "", "\n", "  two  \n\n", "### You\n\n<!-- sg:assistant -->\nno", `\<!-- sg:user -->`, "<!-- sg:lane merge -->", "\r\n", "a\n\n\n"))))
	for _, w := range got {
		t.Error(w)
	}
}

// Files that no page has written are refused with a reason, and leave nothing behind.
func TestHostileFiles(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	for name, file := range map[string]string{
		"nothing":        "",
		"text":           "hello",
		"no JSON":        "{",
		"another format": `{"format": "x"}`,
		"version":        `{"format": "systemgemma-conversations", "version": 2}`,
		"no list":        `{"format": "systemgemma-conversations", "version": 1, "conversations": {}}`,
		"no lanes":       `{"format": "systemgemma-conversations", "version": 1, "conversations": [{}]}`,
		"null":           `{"format": "systemgemma-conversations", "version": 1, "conversations": [null]}`,
		"many lanes":     `{"format": "systemgemma-conversations", "version": 1, "conversations": [{"lanes": [{"nodes": {}}, {"nodes": {}}, {"nodes": {}}]}]}`,
		"role":           `{"format": "systemgemma-conversations", "version": 1, "conversations": [{"lanes": [{"nodes": {"a": {"parent": "", "role": "system", "text": "x"}}}]}]}`,
		"orphan":         `{"format": "systemgemma-conversations", "version": 1, "conversations": [{"lanes": [{"nodes": {"a": {"parent": "b", "role": "user", "text": "x"}}}]}]}`,
		"itself":         `{"format": "systemgemma-conversations", "version": 1, "conversations": [{"lanes": [{"nodes": {"a": {"parent": "a", "role": "user", "text": "x"}}}]}]}`,
		"circle":         `{"format": "systemgemma-conversations", "version": 1, "conversations": [{"lanes": [{"nodes": {"a": {"parent": "b", "role": "user", "text": "x"}, "b": {"parent": "a", "role": "user", "text": "x"}}}]}]}`,
		"proto":          `{"format": "systemgemma-conversations", "version": 1, "conversations": [{"lanes": [{"nodes": {"__proto__": {"parent": "x", "role": "user", "text": "x"}}}]}]}`,
		"text no text":   `{"format": "systemgemma-conversations", "version": 1, "conversations": [{"lanes": [{"nodes": {"a": {"parent": "", "role": "user", "text": {"x": 1}}}}]}]}`,
		"stray message":  "# x\n\n<!-- sg:user -->\nhello",
		"three lanes":    "<!-- sg:lane auto -->\n\n<!-- sg:lane auto -->\n\n<!-- sg:lane auto -->\n",
	} {
		if message := eval[string](p, fmt.Sprintf(`(async (text) => { %s try { return "accepted: " + JSON.stringify(fromFile("x", text)) } catch (e) { return e instanceof TypeError || e instanceof RangeError ? "broke: " + e : "" } })(%s)`, modules, quote(file))); message != "" {
			t.Errorf("%s: %s", name, message)
		}
	}
	// What a page doesn't know is dropped, and options out of range too.
	got := eval[string](p, fmt.Sprintf(`(async () => { %s
		const [c] = fromFile("x", JSON.stringify({ format: "systemgemma-conversations", version: 1, conversations: [{ evil: 1, options: { temperature: 1e9, top_k: 5, evil: 2 }, lanes: [{ evil: 3, mode: "<b>", nodes: { a: { parent: "", role: "user", text: "x", evil: 4, live: {}, tokens: [{ text: "y", p: "no", top: [[1]] }, 7] } } }] }] }));
		return JSON.stringify([c, Object.prototype.evil]);
	})().catch((e) => e.message)`, modules))
	if want := "want a text of at most 1000 characters"; got[max(0, len(got)-len(want)):] != want {
		t.Errorf("a token's text that is a number: %s", got)
	}
	got = eval[string](p, fmt.Sprintf(`(async () => { %s
		const [c] = fromFile("x", JSON.stringify({ format: "systemgemma-conversations", version: 1, conversations: [{ evil: 1, options: { temperature: 1e9, top_k: 5, evil: 2 }, lanes: [{ evil: 3, mode: "<b>", nodes: { a: { parent: "", role: "user", text: "x", evil: 4, live: {} } } }] }] }));
		return JSON.stringify([c.options, c.lanes[0].mode, JSON.stringify(c).includes("evil") || JSON.stringify(c).includes("live")]);
	})()`, modules))
	if want := `[{"top_k":5},"",false]`; got != want {
		t.Errorf("kept %s, want %s", got, want)
	}
}

// A stream of events gives the same, however its bytes are cut.
func TestEventsHoweverCut(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	got := eval[[]string](p, fmt.Sprintf(`(async () => { %s
		const text = ": ping\n\ndata: {\"a\": \"é🙂\"}\n\nevent: x\r\ndata: one\r\ndata:two\r\n\r\nid: 7\n\ndata:  spaced\n\ndata: [DONE]\n\ndata: rest";
		const want = JSON.stringify(['{"a": "é🙂"}', "one\ntwo", " spaced", "[DONE]", "rest"]);
		const bytes = new TextEncoder().encode(text), wrong = [];
		let seed = 1;
		const random = (n) => { seed = (seed * 1103515245 + 12345) %% 2147483648; return seed %% n; };
		for (let i = 0; i < 400; i++) {
			const size = i < bytes.length ? i + 1 : 0;
			let at = 0;
			const stream = new ReadableStream({ pull(c) { if (at >= bytes.length) return c.close(); const n = size || 1 + random(9); c.enqueue(bytes.slice(at, at + n)); at += n; } });
			const found = [];
			for await (const data of events(stream)) found.push(data);
			if (JSON.stringify(found) !== want) wrong.push("pieces of " + size + ": " + JSON.stringify(found));
		}
		return wrong.slice(0, 3);
	})()`, modules))
	for _, w := range got {
		t.Error(w)
	}
}

// What is typed for an option is read whole or refused.
func TestOptionsAreRead(t *testing.T) {
	p := open(t, newScript(t).URL, desktop)
	for _, c := range []struct{ name, typed, want string }{
		{"temperature", "0.7", "0.7"}, {"temperature", " ", "undefined"}, {"temperature", "-1", "error"}, {"temperature", "1e9", "error"}, {"temperature", "x", "error"}, {"temperature", "NaN", "error"},
		{"top_k", "40", "40"}, {"top_k", "1.5", "error"}, {"seed", "9007199254740993", "error"}, {"stop", "a\n\nb", `["a","b"]`}, {"stop", "", "undefined"}, {"min_p", "0.05", "0.05"}, {"repeat_last_n", "-1", "-1"},
	} {
		got := eval[string](p, fmt.Sprintf(`(async () => { %s try { return String(JSON.stringify(read(%s, %s))) } catch (e) { return /want/.test(e.message) ? "error" : "broke: " + e } })()`, modules, quote(c.name), quote(c.typed)))
		if got != c.want {
			t.Errorf("%s %q: %s, want %s", c.name, c.typed, got, c.want)
		}
	}
}
