// Elements by name and attributes. Text goes in as text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

// h makes an element: h("button.small", {onclick: f, "aria-label": "Stop"}, icon("stop"), "Stop").
// Attributes that are null, undefined or false are left out, true means an empty value, functions are listeners.
export function h(name, attributes, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag || "div");
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (key === "value") element.value = value;
    else if (key === "class") element.className = `${element.className} ${value}`.trim();
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  fill(element, ...children);
  return element;
}

// fill replaces what is inside an element; null and false children are left out.
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

// svg makes an element of a drawing.
export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

// Paths of icons, 20 units wide, drawn as lines.
const icons = {
  add: "M10 4v12M4 10h12",
  attach: "M14.5 9.5 9.8 14.2a3 3 0 0 1-4.3-4.3l6-6a2 2 0 0 1 2.9 2.9l-5.9 5.9a1 1 0 0 1-1.4-1.4l5.2-5.2",
  chart: "M4 16V9M10 16V4M16 16v-5",
  check: "m4.5 10.5 3.5 3.5 7.5-8",
  close: "m5 5 10 10M15 5 5 15",
  columns: "M3.5 4.5h13v11h-13zM10 4.5v11",
  copy: "M7 7h9v9H7zM4 13V4h9",
  down: "m5 8 5 5 5-5",
  download: "M10 3.5v9m-3.5-3.5 3.5 3.5 3.5-3.5M4 16.5h12",
  edit: "M4 16l.8-3.2L13 4.6a1.4 1.4 0 0 1 2 0l.4.4a1.4 1.4 0 0 1 0 2L7.2 15.2z",
  eye: "M2.5 10s2.7-5 7.5-5 7.5 5 7.5 5-2.7 5-7.5 5-7.5-5-7.5-5zM10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  forward: "M5 5l5 5-5 5M11 5l5 5-5 5",
  key: "M12.5 11.5a4 4 0 1 0-3.8-2.7L3.5 14v2.5H6V15h1.5v-1.5H9l1-1M13.5 6.5h.01",
  keyboard: "M2.5 5.5h15v9h-15zM6 8.5h.01M9 8.5h.01M12 8.5h.01M15 8.5h.01M6.5 11.5h7",
  left: "m12 5-5 5 5 5",
  menu: "M3.5 6h13M3.5 10h13M3.5 14h13",
  moon: "M16 11.8A6.5 6.5 0 0 1 8.2 4a6.5 6.5 0 1 0 7.8 7.8z",
  more: "M5 10h.01M10 10h.01M15 10h.01",
  redo: "M15.5 10a5.5 5.5 0 1 1-1.6-3.9L16 8.2M16 4.5v3.7h-3.7",
  right: "m8 5 5 5-5 5",
  save: "M4 4h10l2 2v10H4zM7 4v4h5V4M7 16v-4.5h6V16",
  search: "M9 14A5 5 0 1 0 9 4a5 5 0 0 0 0 10zm3.7-1.3L16.5 16.5",
  send: "M10 16V4.5M5 9.2l5-5 5 5",
  settings: "M4 6h7m4 0h1M4 14h1m4 0h7M13 8a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM7 16a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  stop: "M6 6h8v8H6z",
  sun: "M10 13.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM10 2.5v1.5M10 16v1.5M2.5 10H4M16 10h1.5M4.7 4.7l1 1M14.3 14.3l1 1M4.7 15.3l1-1M14.3 5.7l1-1",
  system: "M3.5 4.5h13v9H9l-3.5 3v-3h-2zM7 8h6M7 10.5h4",
  tokens: "M3.5 7h5v6h-5zM11 7h5.5v6H11z",
  trash: "M4.5 6h11M8 6V4h4v2M6 6l.6 10h6.8L14 6",
  upload: "M10 12.5v-9M6.5 7 10 3.5 13.5 7M4 16.5h12",
};

export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" }, svg("path", { d: icons[name] }));
}

// button is one with an icon. Its label is its name for those who don't see the icon; shown says whether it is written out.
export function button(name, label, onclick, { shown = false, kind = "", ...attributes } = {}) {
  const classes = shown ? "button" : "icon-button";
  return h("button", { type: "button", class: `${classes} ${kind}`, onclick, title: shown ? null : label, "aria-label": shown ? null : label, ...attributes },
    icon(name), shown && h("span", null, label));
}

// grow makes a text area as high as its text, up to what its style allows.
export function grow(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

// saveFile offers text as a file to keep.
export function saveFile(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// pickFiles asks for files and resolves to them.
export function pickFiles(accept, multiple = false) {
  return new Promise((resolve) => {
    const input = h("input", { type: "file", accept, multiple });
    input.addEventListener("change", () => resolve([...input.files]));
    input.addEventListener("cancel", () => resolve([]));
    input.click();
  });
}
