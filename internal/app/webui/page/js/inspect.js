// "What the model sees": the exact prompt of a lane, its control tokens told from its text, and its token ids.
import * as api from "./api.js";
import { button, fill, h } from "./dom.js";
import { copy, modal } from "./say.js";
import { request } from "./run.js";
import { visible } from "./tokens.js";

export function inspect(conversation, lane, draft = "") {
  const ask = request(conversation, lane);
  if (draft) ask.messages.push({ role: "user", content: draft });
  const control = new AbortController();
  const body = h("div.inspect", { "aria-busy": "true" }, h("p.muted", null, "Asking the server…"));
  modal("What the model sees", () => body, { wide: true, onclose: () => control.abort() });
  if (!ask.messages.length) {
    fill(body, h("p", null, "Nothing yet: write a system prompt or a message first."));
    body.removeAttribute("aria-busy");
    return;
  }
  load(ask, body, control.signal).catch((e) => {
    if (e.name !== "AbortError") fill(body, h("p.error", { role: "alert" }, e.message));
  }).finally(() => body.removeAttribute("aria-busy"));
}

async function load(ask, body, signal) {
  const seen = await api.prompt(ask, signal);
  const pieces = await api.pieces(seen.ids, ask.model, signal).catch(() => null); // a server that tells no pieces still tells ids
  const views = [
    ["Prompt", () => h("pre.prompt", { tabindex: 0, "aria-label": "Prompt" }, parts(seen))],
    ["Tokens", () => h("div.pieces", { tabindex: 0, role: "group", "aria-label": "Tokens" }, seen.ids.map((id, i) => h("span.piece", { class: isControl(pieces?.[i]) ? "control" : "" },
      h("span", null, pieces ? visible(pieces[i]) : "?"), h("small", null, String(id)))))],
    ["Ids", () => h("pre.prompt", { tabindex: 0, "aria-label": "Token ids" }, seen.ids.join(" "))],
  ];
  const panel = h("div", { id: "inspect-view", role: "tabpanel", tabindex: -1 });
  const tabs = views.map(([name, build], i) => h("button.tab", { type: "button", role: "tab", "aria-controls": "inspect-view", onclick: () => choose(i) }, name));
  function choose(i) {
    tabs.forEach((t, k) => { t.setAttribute("aria-selected", String(k === i)); t.tabIndex = k === i ? 0 : -1; });
    fill(panel, views[i][1]());
  }
  const list = h("div.tabs", {
    role: "tablist", "aria-label": "Forms of the prompt",
    onkeydown: (e) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!step) return;
      const i = (tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length;
      choose(i);
      tabs[i].focus();
    },
  }, tabs);
  fill(body, h("div.inspect-head", null, list, h("span.muted", null, `${seen.ids.length} tokens`),
    button("copy", "Copy prompt", () => copy(seen.prompt, "Prompt copied")), button("tokens", "Copy ids", () => copy(JSON.stringify(seen.ids), "Ids copied"))),
  panel, h("p.muted.note", null, seen.system_mode && `Rendered by the mode ${seen.system_mode}. `, (seen.warnings || []).map((w) => `${w}. `), "Marked parts are control tokens. Text that merely looks like one stays text: nobody can forge a turn."));
  choose(0);
}

const isControl = (piece) => /^<(bos|eos|pad|start_of_turn|end_of_turn)>$/.test(piece || "");

// parts are the prompt with its control tokens marked: by the server's own segments, which know text from control.
function parts({ prompt, segments }) {
  if (!segments) return prompt;
  return segments.map((s) => (s.control ? h("mark.control", null, s.text) : h("span", null, s.text)));
}
