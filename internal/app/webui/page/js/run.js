// Asking for answers: one per lane at a time, streamed into a message of the lane.
import * as api from "./api.js";
import { app, changed, emit, modelOf } from "./state.js";
import { add, path } from "./tree.js";
import { announce } from "./say.js";
import { login } from "./login.js";

// request is what the API is asked for after the messages up to a node (all, if it is null).
export function request(conversation, lane, end = null) {
  const messages = path(lane, end).map(({ role, text }) => ({ role, content: text }));
  if (lane.system.trim()) messages.unshift({ role: "system", content: lane.system });
  return { model: modelOf(conversation).id, messages, system_mode: lane.mode || undefined };
}

// say adds what a person wrote to all lanes and asks for their answers.
export function say(conversation, text) {
  return Promise.all(conversation.lanes.map((lane) => {
    const user = add(lane, path(lane).at(-1)?.id || "", "user", text);
    return answer(conversation, lane, user);
  }));
}

// answer asks for a new answer after a message of the person.
export function answer(conversation, lane, user) {
  return generate(conversation, lane, add(lane, user.id, "assistant", ""), false);
}

// carryOn asks for more of an answer: after a stop, the end of its tokens, or an edit.
export const carryOn = (conversation, lane, node) => generate(conversation, lane, node, true);

export const stop = (lane) => app.running.get(lane)?.abort();
export const stopAll = () => { for (const c of app.running.values()) c.abort(); };

async function generate(conversation, lane, node, more) {
  if (app.running.has(lane)) return;
  const control = new AbortController();
  app.running.set(lane, control);
  const start = performance.now();
  const live = { start, first: 0, progress: null, count: 0 };
  const before = more ? node.text : "";
  Object.assign(node, { error: "", finish: "", warnings: [], decode: 0, live });
  if (!more) node.tokens = [];
  const ask = { ...request(conversation, lane, more ? node.id : node.parent), carryOn: more, probabilities: conversation.probabilities, options: conversation.options };
  node.model = ask.model;
  changed(conversation);
  emit("running");
  emit("lane", { lane });
  let stored = start;
  const clock = setInterval(() => live.first ? clearInterval(clock) : emit("node", { lane, node }), 500); // shows that it waits
  try {
    for await (const part of api.answer(ask, control.signal)) {
      if (part.progress) live.progress = part.progress;
      if (part.mode) node.mode = part.mode;
      if (part.finish) node.finish = part.finish;
      if (part.usage) node.usage = part.usage;
      if (part.decode) node.decode = part.decode;
      if (part.seed) node.seed = part.seed;
      if (part.warnings) node.warnings = part.warnings;
      if (part.text || part.tokens?.length) {
        live.first ||= performance.now();
        live.count += part.tokens?.length || 1;
        node.text += part.text;
        if (part.tokens?.length) node.tokens.push(...part.tokens);
      }
      emit("node", { lane, node });
      if (performance.now() - stored > 2000) {
        stored = performance.now();
        changed(conversation);
      }
    }
  } catch (e) {
    if (e.name === "AbortError") node.finish = "stopped";
    else node.error = e.message;
    if (e.status === 401) login("The server wants an API key.", () => generate(conversation, lane, node, more));
  }
  const end = performance.now();
  clearInterval(clock);
  if (live.first) {
    const tokens = node.usage && node.finish !== "stopped" ? node.usage.completion : live.count;
    node.ttft = (live.first - start) / 1000;
    node.rate = node.decode || (tokens > 1 && end > live.first ? ((tokens - 1) * 1000) / (end - live.first) : 0);
  }
  delete node.live;
  app.running.delete(lane);
  changed(conversation);
  emit("running");
  emit("lane", { lane });
  announce(node.error ? `The answer failed: ${node.error}` : node.finish === "stopped" ? "Stopped" : `Answer: ${node.text.slice(before.length)}`);
}
