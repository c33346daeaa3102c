// The dashboard: what the server does now, asked for every second while it is in sight.
import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { chart, mega } from "./chart.js";
import { login } from "./login.js";
import { manager } from "./manager.js";

const rate = (x) => (x >= 1000 ? Math.round(x).toLocaleString("en") : x.toFixed(1));
const duration = (s) => (s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 86_400 ? `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min` : `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`);

// dashboard makes the view. changed is called when the server has other models than before.
export function dashboard(changed) {
  const charts = {
    decode: chart("Answers, tokens per second", rate), prefill: chart("Prompts, tokens per second", rate), running: chart("Requests", (x) => String(x)),
    kv: chart("Memory of contexts", mega), memory: chart("Memory of the server", mega), cpu: chart("Processor", (x) => `${x.toFixed(0)} %`, { ceiling: 100 }), heat: chart("Temperature", (x) => `${x.toFixed(0)} °C`, { ceiling: 100 }),
  };
  const problem = h("p.error", { role: "alert", hidden: true });
  const facts = h("dl.facts-list");
  const models = h("div.table", { tabindex: 0, role: "group", "aria-label": "Models" });
  const stored = manager(changed);
  const element = h("div.dashboard", { hidden: true, tabindex: -1 }, h("div.dashboard-inner", null, problem, facts, h("div.charts", null, Object.values(charts).map((c) => c.element)), models, stored.element));
  let timer = 0, control = null;

  async function tick() {
    control = new AbortController();
    try {
      draw(await api.status(control.signal));
      problem.hidden = true;
    } catch (e) {
      if (e.name === "AbortError") return;
      if (e.status === 401) login("The server wants an API key.", tick);
      problem.textContent = e.message;
      problem.hidden = false;
      for (const c of Object.values(charts)) c.push(null);
    }
    timer = setTimeout(tick, document.visibilityState === "hidden" ? 5000 : 1000);
  }

  function draw(s) {
    charts.decode.push(s.decode);
    charts.prefill.push(s.prefill);
    charts.running.push(s.running, s.queued ? `${s.queued} waiting` : "none waiting");
    charts.kv.push(s.kvUsed, s.kvLimit ? `of ${mega(s.kvLimit)}` : "");
    charts.memory.push(s.memoryUsed, s.memoryLimit ? `of ${mega(s.memoryLimit)}` : "");
    charts.cpu.push(s.busy === null ? null : 100 * s.busy, s.threads ? `${s.threads} threads` : "");
    const hottest = s.temperatures.reduce((a, b) => (!a || b.celsius > a.celsius ? b : a), null);
    charts.heat.element.hidden = !hottest;
    if (hottest) charts.heat.push(hottest.celsius, hottest.name);
    const list = [
      ["State", s.draining ? "stopping" : "running"], ["Up for", duration(s.uptime)], ["Tokens written", s.generated.toLocaleString("en")], ["Tokens read", s.read.toLocaleString("en")],
      ["Tokens reused", s.cached.toLocaleString("en")], ["Processor", s.processor], ["Kernels", s.kernel], ["Version", s.version],
    ];
    fill(facts, list.filter(([, value]) => value).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
    const cell = (x) => h("td", null, x);
    fill(models, h("table", null, h("thead", null, h("tr", null, ["Open model", "Memory", "Context", "Running", "Waiting"].map((x) => h("th", { scope: "col" }, x)))),
      h("tbody", null, s.models.length ? s.models.map((m) => h("tr", null, cell(m.name), cell(mega(m.bytes)), cell(m.context.toLocaleString("en")), cell(String(m.running)), cell(String(m.waiting)))) : h("tr", null, h("td", { colspan: 5 }, "None; the first request opens one.")))));
  }

  return {
    element,
    run(on) {
      clearTimeout(timer);
      control?.abort();
      if (!on) return;
      tick();
      stored.show();
    },
  };
}
