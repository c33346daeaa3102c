// The lanes of the current conversation: each a system prompt and the messages under it. Two stand side by side.
import { button, fill, h } from "./dom.js";
import { allPersonas, app, changed, emit, isEmpty, on } from "./state.js";
import { newLane, path } from "./tree.js";
import { message } from "./message.js";
import { systemCard } from "./system.js";
import { starters } from "./personas.js";
import { say } from "./run.js";

export const canCompare = (c) => c.lanes.length === 1;

// compare puts a second lane beside the first, with the same messages so far, for another system prompt.
export function compare(conversation) {
  const [first] = conversation.lanes;
  const second = newLane("", first.mode);
  for (const n of path(first)) second.nodes[n.id] = structuredClone({ ...n, live: undefined });
  for (const n of path(first)) second.heads[n.parent] = n.id;
  conversation.lanes.push(second);
  changed(conversation, { touch: false });
  emit("open");
}

function keepOne(conversation, lane) {
  for (const l of conversation.lanes) if (l !== lane) app.running.get(l)?.abort();
  conversation.lanes = [lane];
  changed(conversation, { touch: false });
  emit("open");
}

// lanes makes the scrolling part of the page. draft returns what is in the message box.
export function lanes(draft) {
  const row = h("div.lanes");
  const view = h("div.scroller", { id: "scroller", tabindex: -1 }, row);
  const shown = new Map(); // lane -> {element, list, card}
  let following = true; // the end of a growing answer stays in sight

  view.addEventListener("scroll", () => { following = view.scrollHeight - view.scrollTop - view.clientHeight < 80; }, { passive: true });
  const follow = () => { if (following) view.scrollTop = view.scrollHeight; };

  function open() {
    const c = app.current;
    shown.clear();
    row.classList.toggle("two", c.lanes.length > 1);
    fill(row, c.lanes.map((lane, i) => {
      const name = c.lanes.length > 1 ? ` ${"AB"[i]}` : "";
      const card = systemCard(c, lane, name, draft);
      const list = h("div.messages", { role: "log", "aria-live": "off", "aria-label": `Messages${name}` });
      const element = h("section.lane", { "aria-label": `Conversation${name}` },
        c.lanes.length > 1 && h("div.lane-head", null, h("span.badge", null, "AB"[i]), button("check", `Keep only ${"AB"[i]}`, () => keepOne(c, lane), { shown: true, kind: "quiet" })), card, list);
      shown.set(lane, { element, list, card });
      draw(lane);
      return element;
    }));
    following = !isEmpty(c);
    view.scrollTo(0, 0);
    requestAnimationFrame(() => { for (const s of shown.values()) s.card.refresh(); follow(); });
  }

  function draw(lane) {
    const s = shown.get(lane);
    if (!s) return;
    const nodes = path(lane);
    fill(s.list, nodes.map((n) => message(app.current, lane, n)));
    if (nodes.at(-1)?.live) following = true;
    if (!nodes.length && isEmpty(app.current) && shown.size === 1) fill(s.list, welcome(lane, s.card));
    follow();
  }

  on("open", open);
  on("lane", ({ lane }) => {
    const at = document.activeElement?.closest?.(".message")?.dataset.id;
    draw(lane);
    if (at && document.activeElement === document.body) shown.get(lane)?.list.querySelector(`[data-id="${CSS.escape(at)}"] button`)?.focus();
  });
  const growing = new Map();
  on("node", ({ lane, node }) => {
    if (!growing.size) {
      requestAnimationFrame(() => {
        for (const [l, n] of growing) shown.get(l)?.list.querySelector(`[data-id="${CSS.escape(n.id)}"]`)?.update();
        growing.clear();
        follow();
      });
    }
    growing.set(lane, node);
  });
  on("personas", () => { for (const s of shown.values()) s.card.refresh(); });
  return view;
}

// welcome is what an empty conversation shows.
function welcome(lane, card) {
  const mini = app.models.length === 0 || app.models.some((m) => /mini/i.test(m.id));
  return h("div.welcome", null,
    h("h2", null, "Who should answer you?"),
    h("p", null, "Give the model a system prompt above, or start with one of these, then ask."),
    h("div.chips", { role: "group", "aria-label": "Personas" }, allPersonas().slice(0, 6).map((p) => h("button.chip", {
      type: "button", onclick: () => { lane.system = p.system; changed(app.current, { touch: false }); card.refresh(); emit("system", { lane }); document.getElementById("composer").focus(); },
    }, h("strong", null, p.name), h("span", null, p.system)))),
    h("div.starters", { role: "group", "aria-label": "First questions" }, starters.map((s) => h("button.starter", { type: "button", onclick: () => say(app.current, s) }, s))),
    mini && h("p.muted.note", null, "Mini is a 3.4 MB model inside this program: it follows system prompts and answers at once, but knows only simple things."));
}
