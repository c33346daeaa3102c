// What the page tells people beside its content: a line for screen readers, short notes, questions.
import { h, button, fill } from "./dom.js";

// announce has a screen reader say a text once it is free.
export function announce(text) {
  const region = document.getElementById("status");
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50); // a change that it notices, even of the same text
}

// toast shows a short note for a while: what went wrong, or what was done.
export function toast(text, { error = false, action = null, label = "" } = {}) {
  const note = h("div.toast", { class: error ? "error" : "" }, h("span", null, text),
    action && h("button.link", { type: "button", onclick: () => { note.remove(); action(); } }, label),
    button("close", "Dismiss", () => note.remove()));
  const place = document.getElementById("toasts");
  place.append(note);
  while (place.children.length > 4) place.firstChild.remove();
  setTimeout(() => note.remove(), error ? 12_000 : 5_000);
}

// modal opens a dialog with a title; it goes from the page when it is closed. build gets a function that closes it.
export function modal(title, build, { wide = false, onclose = null } = {}) {
  const id = `dialog-${Math.random().toString(36).slice(2)}`;
  const dialog = h("dialog", { class: wide ? "wide" : "", "aria-labelledby": id });
  const close = () => dialog.close();
  fill(dialog, h("div.dialog-head", null, h("h2", { id }, title), button("close", "Close", close)), h("div.dialog-body", null, build(close)));
  dialog.addEventListener("close", () => { dialog.remove(); onclose?.(); });
  dialog.addEventListener("click", (e) => { if (e.target === dialog) close(); }); // beside it
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// ask opens a dialog with one question and resolves to a text, or to null when it was dismissed.
export function ask(title, { label = "", value = "", yes = "Save", text = "", danger = false, maxlength = 200 } = {}) {
  return new Promise((resolve) => {
    let answer = null;
    const input = label && h("input", { type: "text", value, maxlength, autocomplete: "off" });
    modal(title, (close) => h("form", { onsubmit: (e) => { e.preventDefault(); answer = input ? input.value.trim() || null : ""; close(); } },
      text && h("p", null, text), input && h("label.field", null, label, input),
      h("div.dialog-buttons", null, h("button.button", { type: "button", onclick: close }, "Cancel"),
        h("button.button", { type: "submit", class: danger ? "danger" : "primary" }, yes))), { onclose: () => resolve(answer) });
    if (input) input.select();
  });
}

// copy puts a text on the clipboard and says so.
export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without a secure context (plain HTTP to another machine) there is no clipboard API.
    const area = h("textarea.visually-hidden", { value: text });
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return toast("Could not copy: the browser refused", { error: true });
  }
  announce(what);
  return true;
}
