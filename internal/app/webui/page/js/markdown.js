// Markdown of answers -> elements. What a model writes is hostile text: raw HTML in it is shown as text, the result goes through a
// sanitizer that knows few elements, and images never load, since their addresses could carry the conversation away.
import { Marked } from "../vendor/marked.esm.js";
import "../vendor/purify.min.js";
import { button, h } from "./dom.js";
import { copy } from "./say.js";

const purify = globalThis.DOMPurify;
const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text) => text.replace(/[&<>"']/g, (c) => escapes[c]);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escape(text),
    heading({ tokens, depth }) { return `<h${Math.min(depth + 2, 6)}>${this.parser.parseInline(tokens)}</h${Math.min(depth + 2, 6)}>\n`; },
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || "image")}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

const allowed = {
  ALLOWED_TAGS: ["a", "blockquote", "br", "code", "del", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"],
  ALLOWED_ATTR: ["href", "title", "align", "start", "class"],
  ALLOWED_URI_REGEXP: /^(?:https?:\/\/|mailto:)/i,
  ADD_URI_SAFE_ATTR: ["align", "start"], // which are no addresses
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") {
    if (!node.getAttribute("href")) node.removeAttribute("href");
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
  const language = node.nodeName === "CODE" && /^language-([\w+#.-]{1,20})$/.exec(node.className);
  if (node.hasAttribute("class") && !language) node.removeAttribute("class"); // none of the page's own
});

// The longest text that is read as Markdown while it still grows; what is longer waits for its end as plain text.
const liveLimit = 40_000;

// render makes the elements of an answer. live: it still grows, so code gets no buttons yet.
export function render(text, live = false) {
  if (live && text.length > liveLimit) return h("p.plain", null, text);
  let fragment;
  try {
    fragment = purify.sanitize(marked.parse(text), allowed);
  } catch {
    return h("p.plain", null, text); // nested too deep for the parser
  }
  for (const pre of fragment.querySelectorAll("pre")) wrapCode(pre, live);
  for (const table of fragment.querySelectorAll("table")) {
    const box = h("div.table", { tabindex: 0, role: "group", "aria-label": "Table" });
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}

function wrapCode(pre, live) {
  const code = pre.textContent.replace(/\n$/, "");
  const language = /^language-(.+)$/.exec(pre.querySelector("code")?.className || "")?.[1] || "";
  const copier = button("copy", "Copy code", () => copy(code, "Code copied").then((done) => {
    if (!done) return;
    copier.classList.add("done");
    setTimeout(() => copier.classList.remove("done"), 1500);
  }));
  const box = h("div.code", null, h("div.code-head", null, h("span", null, language || "text"), !live && copier));
  pre.replaceWith(box);
  pre.setAttribute("tabindex", "0"); // it scrolls
  box.append(pre);
}
