// Conversations as files: JSON, which keeps all, and Markdown, which people read; both can be read back. What is read is checked
// before anything is kept of it: a file may come from anybody.
import { add, newID, newLane, path, title } from "./tree.js";
import { clean } from "./options.js";

const FORMAT = "systemgemma-conversations", VERSION = 1;
const limits = { bytes: 64 << 20, conversations: 10_000, nodes: 20_000, text: 1_000_000, name: 200 };

export function toJSON(conversations) {
  const keep = ({ id, name, created, updated, model, options, probabilities, lanes }) => ({ id, name, created, updated, model, options, probabilities, lanes: lanes.map(keepLane) });
  return JSON.stringify({ format: FORMAT, version: VERSION, conversations: conversations.map(keep) }, null, 1);
}

function keepLane({ system, mode, nodes, heads }) {
  const kept = Object.fromEntries(Object.entries(nodes).map(([id, { live, ...n }]) => [id, n]));
  return { system, mode, nodes: kept, heads };
}

const marks = { system: "System prompt", user: "You", assistant: "Answer" };
// A line of a message that looks like one of our marks gets a backslash, which reading takes away.
const guard = (text) => text.replace(/^(\\*<!-- sg:)/gm, "\\$1");
const unguard = (text) => text.replace(/^\\(\\*<!-- sg:)/gm, "$1");

export function toMarkdown(conversation) {
  const lines = [`# ${title(conversation)}`, ""];
  conversation.lanes.forEach((lane, i) => {
    lines.push(`<!-- sg:lane ${lane.mode || "auto"} -->`, "");
    const part = (role, text) => lines.push(`<!-- sg:${role} -->`, `### ${marks[role]}${conversation.lanes.length > 1 ? ` (${"AB"[i]})` : ""}`, "", guard(text), "");
    if (lane.system) part("system", lane.system);
    for (const n of path(lane)) part(n.role, n.text);
  });
  return lines.join("\n");
}

// fileName is a name for a conversation's file on any system.
export const fileName = (conversation, ending) => `${title(conversation).replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 60) || "conversation"}.${ending}`;

// fromFile reads a file's text. It throws an Error that says what is wrong.
export function fromFile(name, text) {
  if (text.length > limits.bytes) throw new Error(`${name}: want at most ${limits.bytes >> 20} MB`);
  return /^\s*[{[]/.test(text) ? fromJSON(name, text) : [fromMarkdown(name, text)];
}

function fromMarkdown(name, text) {
  const conversation = empty();
  conversation.name = (/^# (.+)$/m.exec(text)?.[1] || name).slice(0, limits.name);
  let lane = null;
  const parts = text.split(/^<!-- sg:(lane|system|user|assistant)(?: ([\w-]+))? -->$/m);
  for (let i = 1; i < parts.length; i += 3) {
    const [role, mode, rest] = parts.slice(i, i + 3);
    if (role === "lane") {
      if (conversation.lanes.length === 2) throw new Error(`${name}: want at most two lanes`);
      lane = newLane("", modeOf(mode));
      conversation.lanes.push(lane);
      continue;
    }
    if (!lane) throw new Error(`${name}: a message stands before the first lane`);
    const said = unguard(rest.replace(/^\n### .*\n\n/, "").replace(/\n\n?$/, ""));
    if (said.length > limits.text) throw new Error(`${name}: a message has over ${limits.text} characters`);
    if (role === "system") lane.system = said;
    else add(lane, path(lane).at(-1)?.id || "", role, said);
  }
  if (!conversation.lanes.length) throw new Error(`${name}: want a conversation that this page has exported, as JSON or Markdown; found neither`);
  return conversation;
}

const empty = () => ({ id: newID(), name: "", created: Date.now(), updated: Date.now(), revision: 0, model: "", options: {}, probabilities: false, lanes: [] });
const modeOf = (mode) => (typeof mode === "string" && /^[a-z0-9-]{1,30}$/.test(mode) && mode !== "auto" ? mode : "");

function fromJSON(name, text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch (e) {
    throw new Error(`${name}: no JSON: ${e.message}`);
  }
  if (file?.format !== FORMAT) throw new Error(`${name}: want "format": "${FORMAT}", found ${JSON.stringify(file?.format)?.slice(0, 40)}`);
  if (file.version !== VERSION) throw new Error(`${name}: want version ${VERSION}, found ${JSON.stringify(file.version)?.slice(0, 20)}; a newer program has written it`);
  if (!Array.isArray(file.conversations) || file.conversations.length > limits.conversations) throw new Error(`${name}: want a list of at most ${limits.conversations} conversations`);
  return file.conversations.map((c, i) => conversationOf(c, `${name}: conversation ${i + 1}`));
}

const isObject = (x) => x !== null && typeof x === "object" && !Array.isArray(x);
const textOf = (x, limit, what) => {
  if (x === undefined || x === null) return "";
  if (typeof x !== "string" || x.length > limit) throw new Error(`${what}: want a text of at most ${limit} characters`);
  return x;
};
const numberOf = (x, or = 0) => (typeof x === "number" && Number.isFinite(x) && x >= 0 ? x : or);

// conversationOf copies, field by field, what this page knows: nothing else of a file gets into the storage.
function conversationOf(c, what) {
  if (!isObject(c) || !Array.isArray(c.lanes) || c.lanes.length < 1 || c.lanes.length > 2) throw new Error(`${what}: want one or two lanes`);
  const result = { ...empty(), name: textOf(c.name, limits.name, `${what}: name`), model: textOf(c.model, limits.name, `${what}: model`), options: clean(c.options), probabilities: c.probabilities === true };
  result.created = numberOf(c.created, result.created);
  result.updated = Math.min(numberOf(c.updated, result.updated), Date.now());
  result.lanes = c.lanes.map((l, i) => laneOf(l, `${what}: lane ${i + 1}`));
  return result;
}

function laneOf(l, what) {
  if (!isObject(l) || !isObject(l.nodes)) throw new Error(`${what}: want nodes`);
  const ids = Object.keys(l.nodes);
  if (ids.length > limits.nodes) throw new Error(`${what}: want at most ${limits.nodes} messages, found ${ids.length}`);
  const lane = newLane(textOf(l.system, limits.text, `${what}: system`), modeOf(l.mode));
  lane.nodes = Object.create(null);
  lane.heads = Object.create(null);
  const fresh = new Map([["", ""], ...ids.map((id) => [id, newID()])]);
  for (const id of ids) {
    const n = l.nodes[id];
    if (!isObject(n) || !fresh.has(n.parent) || !["user", "assistant"].includes(n.role)) throw new Error(`${what}: message ${id.slice(0, 20)}: want a parent among the messages, and the role user or assistant`);
    const node = { id: fresh.get(id), parent: fresh.get(n.parent), role: n.role, text: textOf(n.text, limits.text, `${what}: text`), created: numberOf(n.created) };
    for (const key of ["finish", "mode", "model"]) if (n[key]) node[key] = textOf(n[key], limits.name, `${what}: ${key}`);
    for (const key of ["rate", "ttft"]) if (numberOf(n[key])) node[key] = n[key];
    if (isObject(n.usage)) node.usage = { prompt: numberOf(n.usage.prompt), completion: numberOf(n.usage.completion), cached: numberOf(n.usage.cached) };
    if (Array.isArray(n.tokens)) node.tokens = n.tokens.slice(0, limits.nodes).filter(isObject).map((t) => ({ text: textOf(t.text, 1000, what), p: numberOf(t.p), top: topOf(t.top, what) }));
    lane.nodes[node.id] = node;
  }
  for (const id of ids) { // a circle of parents would never end
    let steps = 0;
    for (let at = l.nodes[id]; at; at = l.nodes[at.parent]) if (++steps > ids.length) throw new Error(`${what}: messages follow each other in a circle`);
  }
  for (const [from, to] of Object.entries(isObject(l.heads) ? l.heads : {})) {
    if (fresh.has(from) && ids.includes(to) && l.nodes[to].parent === from) lane.heads[fresh.get(from)] = fresh.get(to);
  }
  return { ...lane, nodes: { ...lane.nodes }, heads: { ...lane.heads } };
}

const topOf = (top, what) => (Array.isArray(top) ? top.slice(0, 20).filter(Array.isArray).map(([text, p]) => [textOf(text, 1000, what), numberOf(p)]) : []);
