// A small chart of one number over time.
import { fill, h, svg } from "./dom.js";

// mega is a number of bytes.
export const mega = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);

const width = 240, height = 56, pad = 3;

// chart makes a card: push adds a value (null: unknown) and shows it. format writes a value, ceiling is the largest one that can be.
export function chart(name, format, { points = 60, ceiling = 0 } = {}) {
  const values = [];
  const number = h("span.chart-value", null, "–");
  const detail = h("span.muted", null, "");
  const line = svg("path", { class: "line", fill: "none" }), area = svg("path", { class: "area" });
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" }, area, line);
  const element = h("section.chart", { "aria-label": name }, h("h2", null, name), h("p", null, number, " ", detail), drawing);

  function push(value, note = "") {
    values.push(Number.isFinite(value) ? value : null);
    if (values.length > points) values.shift();
    const known = values.filter((v) => v !== null);
    const top = Math.max(ceiling, ...known, 1e-9) * (ceiling ? 1 : 1.1);
    const x = (i) => width - ((values.length - 1 - i) * width) / (points - 1);
    const y = (v) => height - pad - ((height - 2 * pad) * v) / top;
    let path = "", from = 0, last = 0, up = false;
    values.forEach((v, i) => {
      if (v === null) { up = false; return; }
      path += `${up ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
      if (!from) from = x(i);
      up = true;
      last = x(i);
    });
    line.setAttribute("d", path);
    area.setAttribute("d", path && !values.includes(null) ? `${path}L${last} ${height}L${x(0).toFixed(1)} ${height}Z` : "");
    fill(number, Number.isFinite(value) ? format(value) : "–");
    fill(detail, note);
    drawing.setAttribute("aria-label", known.length ? `${name}: now ${Number.isFinite(value) ? format(value) : "unknown"}, from ${format(Math.min(...known))} to ${format(Math.max(...known))} in the last ${values.length} seconds` : `${name}: unknown`);
  }
  return { element, push };
}
