// The system prompt of a lane: the text, personas, and how it is put into the model's prompt.
import { button, fill, grow, h } from "./dom.js";
import { allPersonas, app, changed, emit, savePersonas } from "./state.js";
import { modes } from "./personas.js";
import { inspect } from "./inspect.js";
import { ask, toast } from "./say.js";

// systemCard is the card above a lane. name tells two lanes apart.
export function systemCard(conversation, lane, name, draft) {
  const area = h("textarea", {
    value: lane.system, rows: 1, maxlength: 100_000, placeholder: "Who should the model be? For example: Talk like a pirate.", "aria-label": `System prompt${name}`,
    oninput: () => { grow(area); set(area.value); },
  });
  const personas = h("select", { "aria-label": `Persona${name}`, onchange: () => pick(personas.value) });
  const buttons = h("div.persona-buttons");

  function set(text) {
    lane.system = text;
    changed(conversation, { touch: false, wait: 300 });
    list();
    emit("system", { lane });
  }
  function pick(value) {
    const p = allPersonas()[Number(value)];
    area.value = p ? p.system : "";
    set(area.value);
    grow(area);
  }
  function list() {
    const all = allPersonas();
    const at = all.findIndex((p) => p.system === lane.system);
    const text = lane.system.trim();
    const options = (from, to) => all.slice(from, to).map((p, i) => h("option", { value: String(from + i) }, p.name));
    const builtIns = all.length - app.personas.length;
    fill(personas, h("option", { value: "-1" }, text ? "No persona" : "None"), text && at < 0 && h("option", { value: "own" }, "Own text"), h("optgroup", { label: "Built in" }, options(0, builtIns)),
      app.personas.length > 0 && h("optgroup", { label: "Saved" }, options(builtIns)));
    personas.value = !text ? "-1" : at < 0 ? "own" : String(at);
    fill(buttons, text && at < 0 && button("save", "Save as a persona", save), at >= builtIns && button("trash", "Delete this persona", () => forget(all[at])));
  }
  async function save() {
    const saved = await ask("Save as a persona", { label: "Name", maxlength: 60 });
    if (saved === null) return;
    if (allPersonas().some((p) => p.name === saved)) return toast(`There is a persona named ${saved}`, { error: true });
    savePersonas([...app.personas, { name: saved, system: lane.system }]);
  }
  function forget(persona) {
    const before = app.personas;
    savePersonas(before.filter((p) => p !== persona));
    toast(`Persona ${persona.name} deleted`, { label: "Undo", action: () => savePersonas(before) });
  }

  const mode = h("select", { "aria-label": `Render mode${name}`, title: "How the system prompt is put into Gemma 2's prompt", onchange: () => { lane.mode = mode.value; changed(conversation, { touch: false }); emit("system", { lane }); } },
    modes.map(([value, label]) => h("option", { value }, label)));
  mode.value = lane.mode || "";
  const card = h("section.system", { "aria-label": `System prompt${name}` },
    h("div.system-head", null, h("h2", null, `System prompt${name}`), h("div.system-pick", null, buttons, personas)),
    area,
    h("div.system-foot", null, h("label.inline", null, h("span.only-wide", null, "Rendered"), mode), button("eye", "What the model sees", () => inspect(conversation, lane, draft()), { shown: true, kind: "quiet" })));
  card.refresh = () => { // after personas have changed, or the text from elsewhere
    if (area.value !== lane.system) area.value = lane.system;
    list();
    grow(area);
  };
  list();
  return card;
}
