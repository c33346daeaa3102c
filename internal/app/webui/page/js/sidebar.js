// The list of conversations: search, rename, delete, files; and what belongs to the whole page.
import { button, fill, h, icon, pickFiles, saveFile } from "./dom.js";
import { app, changed, emit, on, removeConversation, restore, show } from "./state.js";
import { path, title } from "./tree.js";
import { fileName, fromFile, toJSON, toMarkdown } from "./portable.js";
import { ask, modal, toast } from "./say.js";
import { login } from "./login.js";
import { shortcuts } from "./keys.js";

export function sidebar(element) {
  const search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search conversations", autocomplete: "off", id: "search", oninput: () => list() });
  const items = h("ul.conversations");
  const none = h("p.muted.note", { hidden: true });
  const theme = themeButton();
  fill(element,
    h("div.brand", null, h("span.logo", { "aria-hidden": "true" }, icon("right")), h("span", null, "SystemGemma"), button("close", "Close the list", () => closeSidebar(), { kind: "only-narrow" })),
    h("button.button.new", { type: "button", onclick: () => { show(null); closeSidebar(); document.getElementById("composer").focus(); } }, icon("add"), h("span", null, "New conversation")),
    h("div.search", null, icon("search"), search),
    h("div.list", null, items, none),
    h("div.sidebar-foot", null,
      h("button.button.quiet", { type: "button", id: "to-dashboard", onclick: () => { app.view = app.view === "dashboard" ? "chat" : "dashboard"; emit("view"); closeSidebar(); } }, icon("chart"), h("span", null, "Dashboard")),
      h("div.row", null, theme, button("upload", "Import conversations", importFiles), button("download", "Export all conversations", exportAll), button("key", "API key", () => login()), button("keyboard", "Keyboard shortcuts", shortcuts))));

  function list() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = app.conversations.filter((c) => matches(c, words));
    fill(items, found.map(item));
    none.hidden = found.length > 0;
    none.textContent = words.length ? "Nothing found." : "Conversations are kept in this browser only.";
    const dashboard = element.querySelector("#to-dashboard");
    if (app.view === "dashboard") dashboard.setAttribute("aria-current", "page");
    else dashboard.removeAttribute("aria-current");
  }
  on("list", list);
  on("view", list);
  on("running", list);
  list();
}

function matches(c, words) {
  if (!words.length) return true;
  const text = [title(c), ...c.lanes.flatMap((l) => [l.system, ...Object.values(l.nodes).map((n) => n.text)])].join("\n").toLowerCase();
  return words.every((w) => text.includes(w));
}

function item(c) {
  const current = c === app.current && app.view === "chat";
  const busy = c.lanes.some((l) => app.running.has(l));
  return h("li", { class: current ? "current" : "" },
    h("button.open", { type: "button", "aria-current": current ? "true" : null, title: title(c), onclick: () => { show(c); closeSidebar(); } }, busy && h("span.busy", { role: "img", "aria-label": "Answering" }), title(c)),
    button("more", `More about ${title(c)}`, () => more(c)));
}

export function more(c) {
  modal(title(c), (close) => {
    const act = (name, label, f, kind = "") => button(name, label, () => { close(); f(); }, { shown: true, kind: `wide ${kind}` });
    return h("div.menu", null,
      h("p.muted", null, `${path(c.lanes[0]).length} messages, last changed ${new Date(c.updated).toLocaleString()}`),
      act("edit", "Rename", () => rename(c)),
      act("download", "Export as Markdown", () => saveFile(fileName(c, "md"), "text/markdown", toMarkdown(c))),
      act("download", "Export as JSON, with all branches", () => saveFile(fileName(c, "json"), "application/json", toJSON([c]))),
      act("trash", "Delete", () => { removeConversation(c); toast("Conversation deleted", { label: "Undo", action: () => restore(c) }); }, "danger"));
  });
}

export async function rename(c) {
  const name = await ask("Rename", { label: "Name", value: title(c) });
  if (name === null) return;
  c.name = name;
  changed(c, { touch: false });
  emit("title");
}

function exportAll() {
  if (!app.conversations.length) return toast("There is no conversation yet");
  saveFile("systemgemma-conversations.json", "application/json", toJSON(app.conversations));
}

async function importFiles() {
  let count = 0;
  for (const file of await pickFiles(".json,.md,application/json,text/markdown", true)) {
    try {
      const found = fromFile(file.name, await file.text());
      found.forEach(restore);
      count += found.length;
    } catch (e) {
      toast(e.message, { error: true });
    }
  }
  if (count) toast(`${count} conversation${count === 1 ? "" : "s"} imported`);
}

// themeButton goes from the system's theme to the other one and back.
function themeButton() {
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const place = h("span");
  const draw = () => fill(place, button(dark() ? "sun" : "moon", dark() ? "Light theme" : "Dark theme", toggle));
  function toggle() {
    const next = dark() ? "light" : "dark";
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    if (next === system) delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      if (next === system) localStorage.removeItem("systemgemma.theme");
      else localStorage.setItem("systemgemma.theme", next);
    } catch {
      // It holds until the tab is closed.
    }
    draw();
    place.querySelector("button").focus();
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  return place;
}

export function openSidebar() {
  document.body.classList.add("sidebar-open");
  document.querySelector("#sidebar .only-narrow")?.focus();
}

export function closeSidebar() {
  if (!document.body.classList.contains("sidebar-open")) return;
  document.body.classList.remove("sidebar-open");
  document.getElementById("open-sidebar")?.focus();
}
