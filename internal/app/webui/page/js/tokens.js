// An answer token by token: how likely each was, and what else could have come.
import { fill, h } from "./dom.js";

const percent = (p) => (p >= 0.9995 ? "100 %" : p >= 0.0995 ? `${(p * 100).toFixed(0)} %` : p >= 0.001 ? `${(p * 100).toFixed(1)} %` : "< 0.1 %");
// visible shows a token's text where it has nothing to see.
export const visible = (text) => text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ +| +$/g, (s) => "·".repeat(s.length)) || "∅";

const shade = (p) => (p >= 0.9 ? "p5" : p >= 0.6 ? "p4" : p >= 0.3 ? "p3" : p >= 0.1 ? "p2" : "p1");

// tokenView shows tokens, [{text, p, top}]: pointing at one, tapping it or walking to it with the arrow keys shows its alternatives.
export function tokenView(tokens) {
  const detail = h("div.alternatives", { role: "region", "aria-label": "Alternatives", "aria-live": "polite" });
  const view = h("div.token-text", { role: "listbox", "aria-label": "Tokens with their probabilities", tabindex: -1 });
  let chosen = 0;
  const items = tokens.map((t, i) => h("span.token", {
    class: shade(t.p), role: "option", tabindex: i === 0 ? 0 : -1, "aria-selected": "false", "aria-label": `${visible(t.text)}, ${percent(t.p)}`,
    onpointerenter: () => show(i), onfocus: () => show(i), onclick: () => items[i].focus(),
  }, t.text));

  function show(i) {
    items[chosen].setAttribute("aria-selected", "false");
    items[chosen].tabIndex = -1;
    chosen = i;
    items[i].setAttribute("aria-selected", "true");
    items[i].tabIndex = 0;
    const t = tokens[i];
    const others = t.top.some(([text]) => text === t.text) ? t.top : [[t.text, t.p], ...t.top];
    fill(detail, h("p", null, h("code", null, visible(t.text)), ` came with ${percent(t.p)}. Token ${i + 1} of ${tokens.length}; the likeliest in its place:`),
      h("ol", null, others.map(([text, p]) => {
        const bar = h("span.bar");
        bar.style.setProperty("--share", `${Math.max(p * 100, 0.5)}%`);
        return h("li", { class: text === t.text ? "chosen" : "" }, h("code", null, visible(text)), bar, h("span.number", null, percent(p)));
      })));
  }

  view.addEventListener("keydown", (e) => {
    const to = { ArrowRight: chosen + 1, ArrowLeft: chosen - 1, Home: 0, End: items.length - 1 }[e.key];
    if (to === undefined || !items[to]) return;
    e.preventDefault();
    items[to].focus();
  });
  fill(view, items);
  if (items.length) show(0);
  return h("div.tokens", null, view, detail);
}
