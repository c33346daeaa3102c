// A conversation with branches. A lane is one line of talk with its own system prompt; its messages are a tree, since an edited or
// repeated message stands beside the first one. Pure functions on plain data, which is what is stored:
//   lane: {system, mode, nodes: {id: node}, heads: {parent id or "": chosen child id}}
//   node: {id, parent: id or "", role: "user" or "assistant", text, created: ms, ...}

export const newID = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
};

export const newLane = (system = "", mode = "") => ({ system, mode, nodes: {}, heads: {} });

// children are the messages that follow a node, oldest first; those of "" begin the lane.
export function children(lane, id) {
  return Object.values(lane.nodes).filter((n) => n.parent === id).sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
}

// path is the messages from the beginning along the chosen branches, up to a node if one is given.
export function path(lane, end = null) {
  if (end !== null) {
    const nodes = [];
    for (let n = lane.nodes[end]; n; n = lane.nodes[n.parent]) nodes.unshift(n);
    return nodes;
  }
  const nodes = [];
  for (let at = ""; ;) {
    const next = lane.nodes[lane.heads[at]] || children(lane, at).at(-1);
    if (!next) return nodes;
    nodes.push(next);
    at = next.id;
  }
}

// add puts a message after another and chooses it.
export function add(lane, parent, role, text, more = {}) {
  const last = children(lane, parent).at(-1);
  const created = Math.max(Date.now(), last ? last.created + 1 : 0); // so that siblings keep their order
  const node = { id: newID(), parent, role, text, created, ...more };
  lane.nodes[node.id] = node;
  lane.heads[parent] = node.id;
  return node;
}

// siblings are the variants of a message, and the place of it among them.
export function siblings(lane, node) {
  const all = children(lane, node.parent);
  return { all, index: all.findIndex((n) => n.id === node.id) };
}

// choose makes a variant the one that path takes.
export function choose(lane, node) { lane.heads[node.parent] = node.id; }

// remove deletes a message and all that follow it.
export function remove(lane, node) {
  const { all, index } = siblings(lane, node);
  const gone = [node.id];
  for (let i = 0; i < gone.length; i++) {
    for (const n of Object.values(lane.nodes)) if (n.parent === gone[i]) gone.push(n.id);
  }
  for (const id of gone) {
    delete lane.nodes[id];
    delete lane.heads[id];
  }
  const next = all[index + 1] || all[index - 1];
  if (lane.heads[node.parent] === node.id) {
    if (next) lane.heads[node.parent] = next.id;
    else delete lane.heads[node.parent];
  }
}

// title is what a conversation is called until somebody names it.
export function title(conversation) {
  if (conversation.name) return conversation.name;
  const first = path(conversation.lanes[0])[0];
  const line = (first ? first.text : "").replace(/\s+/g, " ").trim();
  if (line) return line.length > 60 ? `${line.slice(0, 58).trimEnd()}…` : line;
  return "New conversation";
}
