// The box to write in, with what is known about the answer below it.
import * as api from "./api.js";
import { button, fill, grow, h, pickFiles } from "./dom.js";
import { app, modelOf, on } from "./state.js";
import { path } from "./tree.js";
import { request, say, stop } from "./run.js";
import { toast } from "./say.js";

const maxFile = 256 << 10; // bytes of a text file; more is no message

export function composer() {
  const area = h("textarea", { id: "composer", rows: 1, placeholder: "Ask something", "aria-label": "Message", autocomplete: "off", enterkeyhint: "send", "aria-describedby": "composer-hint" });
  const send = button("send", "Send", () => submit(), { kind: "round primary" });
  const halt = button("stop", "Stop", () => halted(), { kind: "round primary stop" });
  const gauge = h("div.gauge");
  const speed = h("span.speed");
  const busy = () => app.current.lanes.some((l) => app.running.has(l));

  function submit() {
    const text = area.value.trim();
    if (!text || busy()) return;
    area.value = "";
    grow(area);
    buttons();
    say(app.current, text);
  }
  function halted() {
    for (const lane of app.current.lanes) stop(lane);
    area.focus();
  }
  function buttons() {
    const running = busy();
    if (running && document.activeElement === send) area.focus();
    send.hidden = running;
    halt.hidden = !running;
    send.disabled = !area.value.trim();
  }
  async function attach(files) {
    for (const file of files) {
      if (file.size > maxFile) toast(`${file.name} has ${Math.ceil(file.size / 1024)} KB: want a text file of at most ${maxFile >> 10} KB`, { error: true });
      else {
        try {
          const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
          const fence = "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map((m) => m[0].length + 1)));
          area.value += `${area.value && !area.value.endsWith("\n") ? "\n" : ""}${file.name}:\n${fence}\n${text}${text.endsWith("\n") ? "" : "\n"}${fence}\n`;
        } catch {
          toast(`${file.name} is no text (UTF-8)`, { error: true });
        }
      }
    }
    grow(area);
    buttons();
    count();
    area.focus();
  }

  area.addEventListener("input", () => { grow(area); buttons(); count(); });
  area.addEventListener("keydown", (e) => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); submit(); }
    if (e.key === "Escape" && busy()) halted();
    if (e.key === "ArrowUp" && !area.value) {
      const mine = [...document.querySelectorAll(".message.user")].at(-1)?.querySelector('button[aria-label^="Edit"]');
      if (mine) { e.preventDefault(); mine.click(); }
    }
  });

  // The gauge asks the server for the exact length of the prompt, a moment after it has changed.
  let timer = 0, control = null;
  function count() {
    clearTimeout(timer);
    timer = setTimeout(measure, 350);
  }
  async function measure() {
    control?.abort();
    control = new AbortController();
    const { signal } = control;
    const limit = modelOf(app.current).context;
    try {
      const used = await Promise.all(app.current.lanes.map(async (lane) => {
        const ask = request(app.current, lane);
        if (area.value.trim()) ask.messages.push({ role: "user", content: area.value });
        return ask.messages.length ? (await api.prompt(ask, signal)).ids.length : 0;
      }));
      show(Math.max(...used), limit);
    } catch (e) {
      if (e.name !== "AbortError") fill(gauge);
    }
  }
  function show(used, limit) {
    const text = limit ? `${used.toLocaleString("en")} of ${limit.toLocaleString("en")} tokens` : `${used.toLocaleString("en")} tokens`;
    fill(gauge, limit > 0 && h("meter", { min: 0, max: limit, high: limit * 0.9, value: String(Math.min(used, limit)), "aria-label": "Context used" }), h("span", null, text));
    gauge.classList.toggle("full", limit > 0 && used > limit);
  }
  function speeds() {
    const live = app.current.lanes.map((l) => path(l).at(-1)?.live).filter(Boolean);
    const rate = live.filter((l) => l.first && l.count > 1).map((l) => ((l.count - 1) * 1000) / (performance.now() - l.first));
    fill(speed, rate.length ? rate.map((r) => `${r.toFixed(1)} tok/s`).join("  |  ") : "");
  }

  const box = h("form.composer", { onsubmit: (e) => { e.preventDefault(); submit(); } },
    h("div.composer-box", null, button("attach", "Add a text file", async () => attach(await pickFiles("text/*,.md,.json,.csv,.go,.py,.js,.ts,.c,.h,.rs,.toml,.yaml,.yml,.log", true))), area, send, halt),
    h("div.composer-foot", null, gauge, speed, h("span.hint", { id: "composer-hint" }, "Enter sends, Shift+Enter begins a line")));
  box.addEventListener("dragover", (e) => { if (e.dataTransfer.types.includes("Files")) e.preventDefault(); });
  box.addEventListener("drop", (e) => { if (e.dataTransfer.files.length) { e.preventDefault(); attach([...e.dataTransfer.files]); } });

  on("running", () => { buttons(); count(); });
  on("open", () => { buttons(); count(); speeds(); });
  on("lane", () => { buttons(); count(); speeds(); });
  on("node", speeds);
  on("system", count);
  on("models", count);
  return { element: box, draft: () => area.value.trim(), focus: () => area.focus(), grow: () => grow(area) };
}
