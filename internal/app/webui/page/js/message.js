// One message of a lane: its text, what it cost, and what can be done with it.
import { button, fill, grow, h } from "./dom.js";
import { app, changed, emit } from "./state.js";
import { add, choose, remove, siblings } from "./tree.js";
import { answer, carryOn } from "./run.js";
import { copy, toast } from "./say.js";
import { render } from "./markdown.js";
import { tokenView } from "./tokens.js";

const withTokens = new Set(); // ids of messages that show their tokens

// message makes the element of a node. update, of the element, shows a growing text.
export function message(conversation, lane, node) {
  const mine = node.role === "user";
  const body = h("div.message-body");
  const foot = h("div.message-foot");
  const element = h("article.message", { class: node.role, "aria-label": mine ? "You" : "Answer", "data-id": node.id }, body, foot);
  let drawn = 0;
  element.update = () => {
    const wait = node.text.length / 200; // a long text costs more to read again
    if (performance.now() - drawn < wait) return;
    drawn = performance.now();
    element.draw();
  };
  element.draw = () => {
    const tokens = !node.live && withTokens.has(node.id) && node.tokens?.length;
    element.setAttribute("aria-busy", String(!!node.live));
    fill(body, mine ? h("p.plain", null, node.text) : tokens ? tokenView(node.tokens) : node.text && render(node.text, !!node.live), node.live && !node.text && reading(node.live), node.error && failure(conversation, lane, node));
    fill(foot, node.live ? null : [variants(conversation, lane, node), h("div.actions", null, actions(conversation, lane, node, element)), !mine && facts(node)]);
  };
  element.draw();
  return element;
}

// reading says how far the prompt is read.
function reading(live) {
  const p = live.progress;
  const share = p?.total ? Math.round((100 * p.done) / p.total) : 0;
  const count = p?.total ? `${p.done.toLocaleString("en")} of ${p.total.toLocaleString("en")} tokens` : "";
  const waited = Math.floor((performance.now() - live.start) / 1000);
  return h("div.reading", null, h("span", null, ["Reading the prompt" + (count ? `: ${share} %` : "…"), count, waited && `${waited} s`].filter(Boolean).join(" · ")), h("progress", share ? { value: String(share), max: 100, "aria-label": "Prompt read" } : { "aria-label": "Prompt read" }));
}

function failure(conversation, lane, node) {
  return h("div.error", null, h("span", null, node.error), h("button.button", { type: "button", onclick: () => retry(conversation, lane, node) }, "Try again"));
}

function retry(conversation, lane, node) {
  if (node.text) return carryOn(conversation, lane, node);
  const user = lane.nodes[node.parent];
  remove(lane, node);
  return answer(conversation, lane, user);
}

// variants walks between the branches at a message.
function variants(conversation, lane, node) {
  const { all, index } = siblings(lane, node);
  if (all.length < 2) return null;
  const go = (i) => { choose(lane, all[i]); changed(conversation, { touch: false }); emit("lane", { lane }); };
  return h("div.variants", { role: "group", "aria-label": "Variants of this message" },
    button("left", "Previous variant", () => go(index - 1), { disabled: index === 0 || app.running.has(lane) }),
    h("span", { "aria-label": `Variant ${index + 1} of ${all.length}` }, `${index + 1}/${all.length}`),
    button("right", "Next variant", () => go(index + 1), { disabled: index === all.length - 1 || app.running.has(lane) }));
}

function actions(conversation, lane, node, element) {
  const mine = node.role === "user", busy = app.running.has(lane), disabled = busy;
  const toggle = () => {
    if (!withTokens.delete(node.id)) withTokens.add(node.id);
    element.draw();
    element.querySelector("[data-toggle]").focus();
  };
  return [
    button("copy", "Copy", () => copy(node.text)),
    button("edit", mine ? "Edit and ask again, as a new branch" : "Edit, as a new branch", () => edit(conversation, lane, node, element), { disabled }),
    !mine && button("redo", "Another answer", () => answer(conversation, lane, lane.nodes[node.parent]), { disabled: busy || !lane.nodes[node.parent] }),
    mine && button("redo", "Answer this again", () => answer(conversation, lane, node), { disabled }),
    !mine && node.text && button("forward", "Continue this answer", () => carryOn(conversation, lane, node), { disabled }),
    !mine && node.tokens?.length > 0 && button("tokens", "Token probabilities", toggle, { "data-toggle": true, "aria-pressed": String(withTokens.has(node.id)) }),
    button("trash", "Delete this and what follows", () => discard(conversation, lane, node), { disabled }),
  ];
}

function discard(conversation, lane, node) {
  const before = structuredClone({ nodes: lane.nodes, heads: lane.heads });
  remove(lane, node);
  changed(conversation);
  emit("lane", { lane });
  toast("Message deleted", { label: "Undo", action: () => { Object.assign(lane, before); changed(conversation); emit("lane", { lane }); } });
}

function facts(node) {
  const list = [
    node.finish === "stopped" && "stopped", node.finish === "length" && "ended by its length limit",
    node.usage && `${node.usage.completion} tokens`, node.rate > 0 && `${node.rate >= 100 ? Math.round(node.rate).toLocaleString("en") : node.rate.toFixed(1)} tok/s`, node.ttft > 0 && `first after ${node.ttft.toFixed(2)} s`,
    node.usage?.cached > 0 && `${node.usage.cached} of ${node.usage.prompt} prompt tokens reused`, node.mode && `mode ${node.mode}`, node.seed && `seed ${node.seed}`, ...(node.warnings || []),
  ].filter(Boolean);
  return list.length > 0 && h("p.facts", null, list.join(" · "));
}

function edit(conversation, lane, node, element) {
  const mine = node.role === "user";
  const area = h("textarea", { value: node.text, "aria-label": "Text of the message", rows: 2, oninput: () => grow(area) });
  const close = () => { element.draw(); element.querySelector("button")?.focus(); };
  const save = () => {
    if (!area.value.trim()) return toast("A message needs some text", { error: true });
    if (area.value === node.text) return close();
    const next = add(lane, node.parent, node.role, area.value, mine ? {} : { edited: true });
    changed(conversation);
    if (mine) answer(conversation, lane, next);
    else emit("lane", { lane });
  };
  fill(element.querySelector(".message-body"), h("form.edit", {
    onsubmit: (e) => { e.preventDefault(); save(); },
    onkeydown: (e) => {
      if (e.key === "Escape") { e.stopPropagation(); close(); }
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); save(); }
    },
  }, area, h("div.dialog-buttons", null, h("button.button", { type: "button", onclick: close }, "Cancel"), h("button.button.primary", { type: "submit" }, mine ? "Ask" : "Save as a branch"))));
  fill(element.querySelector(".message-foot"));
  grow(area);
  area.focus();
}
