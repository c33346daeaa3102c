// What the page knows, and who is told when it changes. Views read `app`, call functions here, and listen; only this file stores.
import * as db from "./db.js";
import { newID, newLane, title, path } from "./tree.js";
import { presets } from "./options.js";
import { builtIn } from "./personas.js";
import { toast } from "./say.js";

export const app = {
  conversations: [], // newest change first
  current: null, // one of them, or one that isn't stored yet: it has no message
  models: [],
  personas: [], // saved ones: {name, system}
  presets: [], // saved ones: {name, options}
  running: new Map(), // lane -> AbortController of its answer
  view: "chat",
};

const bus = new EventTarget();
// Events: list (conversations), open (another one is current), lane (a lane's messages; detail {lane}), node (one message grows;
// detail {lane, node}), running, options, models, view.
export const on = (name, listener) => bus.addEventListener(name, (e) => listener(e.detail || {}));
export const emit = (name, detail) => bus.dispatchEvent(new CustomEvent(name, { detail }));

export const allPersonas = () => [...builtIn, ...app.personas];
export const allPresets = () => [...presets, ...app.presets];
export const modelOf = (c) => app.models.find((m) => m.id === c.model) || app.models[0] || { id: "", context: 0 };

// load reads what is stored. A browser that stores nothing gives an empty page that says so.
export async function load() {
  try {
    const [list, personas, saved] = await Promise.all([db.conversations(), db.setting("personas"), db.setting("presets")]);
    app.conversations = list.sort((a, b) => b.updated - a.updated);
    for (const node of list.flatMap((c) => c.lanes).flatMap((l) => Object.values(l.nodes))) {
      if (node.live) Object.assign(node, { live: undefined, finish: "stopped" }); // the page was closed amid the answer
    }
    app.personas = personas || [];
    app.presets = saved || [];
  } catch (e) {
    toast(`This browser keeps nothing here: conversations end with this tab (${e.message})`, { error: true });
  }
  emit("list");
}

export function fresh() {
  const last = app.current;
  const now = Date.now();
  return { id: newID(), name: "", created: now, updated: now, revision: 0, model: last?.model || "", options: { ...last?.options }, probabilities: !!last?.probabilities, lanes: [newLane("", last?.lanes[0].mode || "")] };
}

// show makes a conversation the current one; null means a new one.
export function show(conversation) {
  const next = conversation || fresh();
  app.current = next;
  app.view = "chat";
  emit("view");
  emit("open");
  emit("list");
}

export const isEmpty = (c) => c !== null && c.lanes.every((l) => path(l).length === 0);

// changed says that a conversation has changed: it is stored at once, or after wait ms if more changes are on their way. touch: it
// comes first in the list. Until all is stored the page's root has the attribute data-unsaved.
const pending = new Map();
export function changed(conversation, { touch = true, wait = 0 } = {}) {
  if (isEmpty(conversation) && !app.conversations.includes(conversation)) return;
  if (touch) {
    conversation.updated = Date.now();
    app.conversations = [conversation, ...app.conversations.filter((c) => c !== conversation)];
  }
  emit("list");
  document.documentElement.dataset.unsaved = "true";
  if (!wait) store(conversation);
  else if (!pending.has(conversation)) pending.set(conversation, setTimeout(() => store(conversation), wait));
}

let storing = Promise.resolve(), waiting = 0;
function store(conversation) {
  waiting++;
  clearTimeout(pending.get(conversation));
  pending.delete(conversation);
  storing = storing.then(async () => {
    if (!app.conversations.includes(conversation)) return; // deleted meanwhile
    let revision = await db.put(conversation);
    if (!revision) { // another tab has stored the same conversation: keep both
      Object.assign(conversation, { id: newID(), revision: 0, name: `${title(conversation)} (of another tab)` });
      revision = await db.put(conversation);
      emit("list");
    }
    conversation.revision = revision;
  }).catch((e) => toast(`Could not store the conversation: ${e.message}`, { error: true })).finally(() => {
    if (--waiting === 0 && !pending.size) delete document.documentElement.dataset.unsaved;
  });
  return storing;
}

// storeAll stores at once what waits, for a page that is about to go.
export function storeAll() {
  for (const c of [...pending.keys()]) store(c);
  return storing;
}

export function removeConversation(conversation) {
  for (const lane of conversation.lanes) app.running.get(lane)?.abort();
  app.conversations = app.conversations.filter((c) => c !== conversation);
  storing = storing.then(() => db.drop(conversation.id)).catch((e) => toast(`Could not delete: ${e.message}`, { error: true }));
  if (app.current === conversation) {
    app.current = null;
    show(app.conversations[0] || null);
  }
  emit("list");
}

// restore brings back a conversation that was deleted, or adds an imported one.
export function restore(conversation) {
  conversation.revision = 0;
  app.conversations = [conversation, ...app.conversations];
  changed(conversation, { touch: false });
  app.conversations.sort((a, b) => b.updated - a.updated);
  emit("list");
}

export function savePersonas(list) {
  app.personas = list;
  db.keep("personas", list).catch((e) => toast(`Could not store the persona: ${e.message}`, { error: true }));
  emit("personas");
}

export function savePresets(list) {
  app.presets = list;
  db.keep("presets", list).catch((e) => toast(`Could not store the preset: ${e.message}`, { error: true }));
  emit("options");
}
