// The options of the current conversation: model, sampling, presets, token probabilities.
import { button, fill, h } from "./dom.js";
import { allPresets, app, changed, emit, modelOf, on, savePresets } from "./state.js";
import { groups, nameOf, read } from "./options.js";
import { ask, toast } from "./say.js";

export function panel(element) {
  function draw() {
    if (element.hidden || !app.current) return;
    const c = app.current;
    fill(element, h("div.panel-head", null, h("h2", null, "Options"), button("close", "Close options", () => togglePanel(false))),
      h("div.panel-body", null, models(c), presets(c), probabilities(c), groups.map(([name, list], i) => group(c, name, list, i === 0))));
  }
  on("open", draw);
  on("models", draw);
  on("options", draw);
  on("panel", draw);
}

export function togglePanel(open) {
  const element = document.getElementById("panel");
  element.hidden = !(open ?? element.hidden);
  emit("panel");
  document.getElementById("open-panel").setAttribute("aria-expanded", String(!element.hidden));
  if (element.hidden) document.getElementById("open-panel").focus();
  else if (matchMedia("(max-width: 1100px)").matches) element.querySelector("button")?.focus();
}

function models(c) {
  if (app.models.length === 0) return h("p.muted.note", null, "The server has named no model yet.");
  const select = h("select", { onchange: () => { c.model = select.value; changed(c, { touch: false }); emit("models"); } }, app.models.map((m) => h("option", { value: m.id }, m.id)));
  select.value = modelOf(c).id;
  const context = modelOf(c).context;
  return h("div.group", null, h("label.field", null, "Model", select), context > 0 && h("p.muted.note", null, `Context of ${context.toLocaleString("en")} tokens`));
}

function presets(c) {
  const all = allPresets();
  const name = nameOf(c.options, all);
  const select = h("select", { onchange: () => { const p = all.find((x) => x.name === select.value); if (p) set(c, { ...p.options }); } },
    !name && h("option", { value: "" }, "Own values"), all.map((p) => h("option", { value: p.name }, p.name)));
  select.value = name;
  const saved = app.presets.find((p) => p.name === name);
  const save = async () => {
    const chosen = await ask("Save as a preset", { label: "Name", maxlength: 60 });
    if (chosen === null) return;
    if (all.some((p) => p.name === chosen)) return toast(`There is a preset named ${chosen}`, { error: true });
    savePresets([...app.presets, { name: chosen, options: { ...c.options } }]);
  };
  return h("div.group", null, h("label.field", null, "Preset", select),
    !name && button("save", "Save as a preset", save, { shown: true, kind: "quiet" }),
    saved && button("trash", "Delete this preset", () => savePresets(app.presets.filter((p) => p !== saved)), { shown: true, kind: "quiet" }));
}

function set(c, options) {
  c.options = options;
  changed(c, { touch: false });
  emit("options");
}

function probabilities(c) {
  const box = h("input", { type: "checkbox", checked: c.probabilities, onchange: () => { c.probabilities = box.checked; changed(c, { touch: false }); } });
  return h("div.group", null, h("label.check", null, box, "Token probabilities"), h("p.muted.note", null, "New answers keep, for each token, what else could have come."));
}

function group(c, name, list, open) {
  const used = list.filter(([n]) => c.options[n] !== undefined).length;
  return h("details.group", { open: open || used > 0 }, h("summary", null, name, used > 0 && h("span.count", null, `${used} set`)), list.map((f) => field(c, ...f)));
}

function field(c, name, label, limits, what) {
  const id = `option-${name}`, problem = h("p.problem", { id: `${id}-problem` });
  const lines = limits === "lines";
  const value = c.options[name];
  const input = h(lines ? "textarea" : "input", {
    id, "aria-describedby": `${id}-what ${id}-problem`, value: value === undefined ? "" : lines ? value.join("\n") : String(value), placeholder: "default",
    ...(lines ? { rows: 2 } : { type: "number", inputmode: "decimal", min: limits.min, max: limits.max, step: "any" }),
    onchange: () => {
      try {
        if (input.validity?.badInput) throw new Error(`${label}: want a number`);
        const x = read(name, input.value);
        const options = { ...c.options };
        if (x === undefined) delete options[name];
        else options[name] = x;
        input.removeAttribute("aria-invalid");
        c.options = options;
        changed(c, { touch: false });
        fill(problem);
        emit("preset");
      } catch (e) {
        input.setAttribute("aria-invalid", "true");
        fill(problem, e.message);
      }
    },
  });
  return h("div.option", null, h("label", { for: id }, label, h("code", null, name)), input, h("p.muted.note", { id: `${id}-what` }, what), problem);
}
