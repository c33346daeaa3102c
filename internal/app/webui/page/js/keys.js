// Keys of the whole page.
import { h } from "./dom.js";
import { app, emit, show } from "./state.js";
import { modal } from "./say.js";
import { stopAll } from "./run.js";
import { closeSidebar, openSidebar } from "./sidebar.js";

const mac = /Mac|iP(hone|ad)/.test(navigator.platform);
const list = [
  ["Enter", "Send the message"], ["Shift + Enter", "Begin a new line"], ["Esc", "Stop the answer, close what is open"], ["↑", "In an empty box: edit the last message"],
  ["Alt + N", "New conversation"], ["Alt + K", "Search conversations"], ["Alt + S", "To the system prompt"], ["Alt + M", "To the message box"], ["Alt + D", "Dashboard and back"],
  ["← →", "Walk through tokens, tabs"], ["?", "This list"],
];

export function shortcuts() {
  modal("Keyboard", () => h("dl.keys", null, list.flatMap(([k, what]) => [h("dt", null, h("kbd", null, mac ? k.replace("Alt", "⌥") : k)), h("dd", null, what)])));
}

export function listenToKeys() {
  document.addEventListener("keydown", (e) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
    if (e.key === "Escape" && !document.querySelector("dialog[open]")) {
      if (document.body.classList.contains("sidebar-open")) closeSidebar();
      else if (app.running.size) stopAll();
      return;
    }
    if (e.key === "?" && !typing) return shortcuts();
    if (!e.altKey || e.ctrlKey || e.metaKey || document.querySelector("dialog[open]")) return;
    const chat = (id) => { if (app.view !== "chat") { app.view = "chat"; emit("view"); } document.querySelector(id)?.focus(); };
    const act = {
      KeyN: () => { show(null); chat("#composer"); },
      KeyK: () => { if (matchMedia("(max-width: 820px)").matches) openSidebar(); document.getElementById("search").focus(); },
      KeyS: () => chat(".system textarea"),
      KeyM: () => chat("#composer"),
      KeyD: () => { app.view = app.view === "dashboard" ? "chat" : "dashboard"; emit("view"); },
    }[e.code];
    if (!act) return;
    e.preventDefault();
    act();
  });
}
