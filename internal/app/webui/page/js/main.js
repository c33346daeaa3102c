// The page: puts the parts together.
import * as api from "./api.js";
import { button, fill, h } from "./dom.js";
import { app, emit, load, on, show, storeAll } from "./state.js";
import { title } from "./tree.js";
import { canCompare, compare, lanes } from "./lanes.js";
import { closeSidebar, more, openSidebar, sidebar } from "./sidebar.js";
import { composer } from "./composer.js";
import { dashboard } from "./dashboard.js";
import { listenToKeys } from "./keys.js";
import { login } from "./login.js";
import { panel, togglePanel } from "./panel.js";
import { toast } from "./say.js";

function header() {
  const name = h("button.title", { type: "button", onclick: () => app.view === "chat" && more(app.current) });
  const beside = button("columns", "Compare two system prompts", () => compare(app.current), { id: "compare" });
  const options = button("settings", "Options", () => togglePanel(), { id: "open-panel", "aria-expanded": "false", "aria-controls": "panel" });
  const element = h("header.top", null, button("menu", "Conversations", openSidebar, { id: "open-sidebar", kind: "only-narrow" }), h("h1", null, name), h("div.actions", null, beside, options));
  const draw = () => {
    if (!app.current) return;
    const chat = app.view === "chat";
    name.textContent = chat ? title(app.current) : "Dashboard";
    beside.hidden = options.hidden = !chat;
    beside.disabled = !canCompare(app.current) || app.running.size > 0;
    document.title = chat && app.conversations.includes(app.current) ? `${title(app.current)} – SystemGemma` : "SystemGemma";
  };
  for (const event of ["open", "list", "view", "title", "running"]) on(event, draw);
  return element;
}

async function findModels() {
  try {
    app.models = await api.models();
    emit("models");
  } catch (e) {
    if (e.status === 401) return login("The server wants an API key.", findModels);
    toast(`No list of models: ${e.message}`, { error: true, label: "Try again", action: findModels });
  }
}

async function start() {
  sidebar(document.getElementById("sidebar"));
  panel(document.getElementById("panel"));
  const box = composer();
  const chat = h("div.chat", null, lanes(box.draft), box.element);
  const board = dashboard(findModels);
  fill(document.getElementById("main"), header(), chat, board.element);
  on("view", () => {
    const dash = app.view === "dashboard";
    chat.hidden = dash;
    board.element.hidden = !dash;
    board.run(dash);
    if (dash) document.getElementById("panel").hidden = true;
  });
  listenToKeys();
  document.getElementById("app").append(h("div.shade", { onclick: closeSidebar }));
  addEventListener("pagehide", storeAll);
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && storeAll());
  await load();
  const last = sessionStorage.getItem("systemgemma.current");
  on("open", () => sessionStorage.setItem("systemgemma.current", app.current.id));
  show(app.conversations.find((c) => c.id === last) || (last ? null : app.conversations[0]) || null);
  if (matchMedia("(hover: hover)").matches) box.focus(); // where no keyboard would cover the page
  await findModels();
  emit("ready");
  document.documentElement.dataset.ready = "true";
}

start();
