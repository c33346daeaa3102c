// The models of the server: what is there, fetching more, removing.
import * as api from "./api.js";
import { mega } from "./chart.js";
import { button, fill, h } from "./dom.js";
import { announce, ask, toast } from "./say.js";

// manager makes the section. changed is called when there are other models than before.
export function manager(changed) {
  const list = h("div.table", { tabindex: 0, role: "group", "aria-label": "Models" });
  const name = h("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", maxlength: 200, placeholder: "2b, owner/name, gemma2:2b", "aria-describedby": "get-model-note" });
  const bar = h("progress", { max: 1, hidden: true, "aria-label": "How much of the model is here" });
  const note = h("p.muted.note", { id: "get-model-note" }, "From Hugging Face or Ollama's library, as systemgemma pull takes it.");
  const get = h("button.button", { type: "submit", class: "primary" }, "Get");
  const stop = button("stop", "Stop getting it", () => control?.abort(), { shown: true, kind: "quiet", hidden: true });
  const form = h("form.get-model", { onsubmit: (e) => { e.preventDefault(); if (name.value.trim()) fetchModel(name.value.trim()); } },
    h("label.field", null, "Get a model", name), get, stop);
  const element = h("section.manager", { "aria-label": "Models of this server" }, h("h2", null, "Models of this server"), list, form, bar, note);
  let control = null;

  async function show() {
    let models = [];
    try {
      models = await api.stored();
    } catch (e) {
      return void fill(list, h("p.muted.note", null, `No list of models: ${e.message}`));
    }
    fill(list, h("table", null, h("thead", null, h("tr", null, ["Model", "Size", "Weights", ""].map((x) => h("th", { scope: "col" }, x || h("span.visually-hidden", null, "Actions"))))),
      h("tbody", null, models.map((m) => h("tr", null, h("td", null, m.name), h("td", null, mega(m.bytes)), h("td", null, m.type),
        h("td.number", null, m.id && button("trash", `Remove ${m.name}`, () => remove(m))))))));
  }

  async function remove(m) {
    if ((await ask(`Remove ${m.name}?`, { text: `${mega(m.bytes)} on the server's disk become free. It can be fetched again where it came from.`, yes: "Remove", danger: true })) === null) return;
    try {
      await api.remove(m.id);
      announce(`${m.name} is removed`);
    } catch (e) {
      toast(`${m.name} is not removed: ${e.message}`, { error: true });
    }
    await Promise.all([show(), changed()]);
  }

  function busy(on) {
    get.disabled = name.disabled = on;
    stop.hidden = bar.hidden = !on;
    bar.removeAttribute("value"); // not known yet
  }

  async function fetchModel(wanted, accept = false) {
    control = new AbortController();
    busy(true);
    fill(note, "Asking for it …");
    try {
      for await (const p of api.pull(wanted, accept, control.signal)) {
        fill(note, p.total > 0 ? `${p.text}: ${mega(p.done)} of ${mega(p.total)}` : p.text);
        if (p.total > 0) bar.value = p.done / p.total;
      }
      name.value = "";
      fill(note, `${wanted} is here: choose it under Options.`);
      announce(`${wanted} is here`);
    } catch (e) {
      if (e.name === "AbortError") fill(note, "Stopped. Getting it again goes on where it was.");
      else if (e.terms && !accept) return void terms(wanted);
      else {
        fill(note, e.message);
        announce(e.message);
      }
    } finally {
      busy(false);
    }
    await Promise.all([show(), changed()]);
  }

  async function terms(wanted) {
    const yes = await ask(`The terms of ${wanted}`, {
      text: "This model has terms that must be accepted once on the server. Gemma's are at ai.google.dev/gemma/terms, its prohibited uses at ai.google.dev/gemma/prohibited_use_policy. Read them first.", yes: "I have read and accept them",
    });
    if (yes !== null) return fetchModel(wanted, true);
    fill(note, "Nothing was fetched: its terms are not accepted.");
  }

  return { element, show };
}
