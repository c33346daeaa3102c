// Checks a view as people with a screen reader, a keyboard or weak eyes meet it; returns what is wrong, a line each.
// The rules are those of WCAG 2.2, level AA, that a program can decide.
() => {
  const wrong = [];
  const modal = document.querySelector("dialog[open]");
  const root = modal || document.body;
  const shown = (e) => e.checkVisibility({ opacityProperty: false, visibilityProperty: true });
  const what = (e) => `<${e.tagName.toLowerCase()}${e.id ? ` id=${e.id}` : ""} class="${e.getAttribute("class") || ""}"> ${(e.getAttribute("aria-label") || e.textContent).trim().slice(0, 40)}`;
  const textOf = (ids) => ids.split(/\s+/).map((id) => document.getElementById(id)?.textContent || "").join(" ").trim();

  // 4.1.2: each control has a name and a role.
  const name = (e) => {
    if (e.getAttribute("aria-labelledby")) return textOf(e.getAttribute("aria-labelledby"));
    if (e.getAttribute("aria-label")) return e.getAttribute("aria-label").trim();
    const label = [...(e.labels || [])].map((l) => l.textContent).join(" ").trim();
    return label || (/^(INPUT|TEXTAREA|SELECT)$/.test(e.tagName) ? e.title : e.textContent.trim() || e.title);
  };
  const controls = [...root.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex], [role=option], [role=tab]")].filter(shown);
  for (const e of controls) {
    if (!name(e) && e.tabIndex >= 0) wrong.push(`no name: ${what(e)}`);
    if (e.tabIndex > 0) wrong.push(`an order of its own for the Tab key: ${what(e)}`);
    if (e.closest("[aria-hidden=true]")) wrong.push(`hidden from screen readers, but reachable: ${what(e)}`);
    const box = e.getBoundingClientRect();
    if (/^(BUTTON|INPUT|SELECT|TEXTAREA)$/.test(e.tagName) && e.type !== "checkbox" && (box.width < 24 || box.height < 24)) wrong.push(`smaller than 24 x 24 (2.5.8): ${what(e)} ${box.width} x ${box.height}`);
  }
  for (const e of root.querySelectorAll("dialog, nav, aside, section, [role=log], [role=region], [role=group], [role=img], meter, progress")) {
    if (shown(e) && !name({ getAttribute: (a) => e.getAttribute(a), labels: e.labels || [], tagName: "INPUT", title: "" })) wrong.push(`a part without a name: ${what(e)}`);
  }

  // 1.3.1: ids are unique, and what refers to one finds it; one main part; headings begin and skip no level downwards in a part.
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push(`two elements have the id ${id}`);
  for (const a of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
    for (const e of root.querySelectorAll(`[${a}]`)) for (const id of e.getAttribute(a).split(/\s+/)) if (!document.getElementById(id)) wrong.push(`${a} names ${id}, which is not there: ${what(e)}`);
  }
  if (document.querySelectorAll("main").length !== 1) wrong.push("want one main part");
  if (!document.documentElement.lang) wrong.push("the page has no language");
  if (!document.title) wrong.push("the page has no title");
  for (const e of root.querySelectorAll("img, svg")) if (shown(e) && e.getAttribute("aria-hidden") !== "true" && !e.getAttribute("aria-label") && !e.alt) wrong.push(`a picture without a text: ${what(e)}`);
  for (const e of root.querySelectorAll("ul > *, ol > *")) if (e.tagName !== "LI") wrong.push(`in a list, but no item: ${what(e)}`);
  if (!document.querySelector("#status[aria-live=polite]")) wrong.push("no live region for what happens");

  // 1.4.3: the contrast of text and what lies behind it.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = css;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const behind = (e) => {
    const layers = [];
    for (let x = e; x; x = x.parentElement) layers.unshift(rgba(getComputedStyle(x).backgroundColor));
    return layers.reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const contrast = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const check = (e, css, place) => {
    const style = getComputedStyle(e);
    let opacity = 1;
    for (let x = e; x; x = x.parentElement) opacity *= Number(getComputedStyle(x).opacity);
    if (opacity === 0) return; // shown on hover, with its own check there
    const under = behind(e);
    const color = rgba(css);
    const ratio = contrast(over([color[0], color[1], color[2], color[3] * opacity], under), under);
    const size = parseFloat(style.fontSize);
    const want = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < want) wrong.push(`contrast ${ratio.toFixed(2)}, want ${want}${place}: ${what(e)}`);
  };
  const done = new Set();
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let n = walker.nextNode(); n; n = walker.nextNode()) {
    const e = n.parentElement;
    if (done.has(e) || !n.data.trim() || !shown(e) || e.closest(".visually-hidden, .skip, option, noscript, svg") || e.closest("button:disabled")) continue;
    done.add(e);
    check(e, getComputedStyle(e).color, "");
  }
  for (const e of root.querySelectorAll("input, textarea")) if (shown(e) && e.placeholder) check(e, getComputedStyle(e, "::placeholder").color, " of the placeholder");

  // 1.4.10: nothing sticks out of the window's sides.
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`the page is ${document.documentElement.scrollWidth} wide, the window ${innerWidth}`);
  return wrong;
}
