// The server's API, as this page uses it. All names of requests and answers are here and nowhere else.
import { events } from "./sse.js";

// The page may stand behind a proxy in a folder: paths are relative to it.
const at = (path) => new URL(path, document.baseURI).href;

let key = "";
try {
  key = localStorage.getItem("systemgemma.key") || "";
} catch {
  // No storage: the key is asked for each time.
}

export const hasKey = () => key !== "";

// setKey takes the API key for this visit, and stores it only if asked to.
export function setKey(value, remember) {
  key = value;
  try {
    if (remember && value) localStorage.setItem("systemgemma.key", value);
    else localStorage.removeItem("systemgemma.key");
  } catch {
    return !remember;
  }
  return true;
}

export const keyIsStored = () => {
  try {
    return localStorage.getItem("systemgemma.key") !== null;
  } catch {
    return false;
  }
};

// APIError is an answer that is none. wait is how many seconds the server asks to wait, 0 if it doesn't.
export class APIError extends Error {
  constructor(message, status = 0, wait = 0) {
    super(message);
    this.status = status;
    this.wait = wait;
  }
}

async function call(path, { body, signal, method = body ? "POST" : "GET" } = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(at(path), { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store", credentials: "same-origin" });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new APIError("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    const { error } = await response.json();
    message = (typeof error === "string" ? error : error.message) || message;
  } catch {
    // No JSON: the status has to do.
  }
  throw new APIError(message, response.status, Number(response.headers.get("Retry-After")) || 0);
}

const json = async (path, options) => (await call(path, options)).json();

// models are what the server offers: [{id, context}], context in tokens, 0 if it isn't told.
export async function models() {
  const { data } = await json("v1/models");
  return data.map((m) => ({ id: m.id, context: m.context_length || m.max_model_len || m.meta?.n_ctx_train || 0 }));
}

// status is what the server does now, as the dashboard shows it. Bytes that aren't known are 0, a share that isn't is null.
export async function status(signal) {
  const s = await json("status", { signal });
  return {
    version: s.version?.version || "", uptime: s.uptime, draining: !!s.draining,
    running: s.requests.running, queued: s.requests.queued, decode: s.rates.decode, prefill: s.rates.prefill,
    generated: s.tokens.generated, read: s.tokens.prompt, cached: s.tokens.cached,
    kvUsed: s.kv.used, kvLimit: s.kv.limit, memoryUsed: s.memory.process || s.memory.models, memoryLimit: s.memory.total,
    busy: s.cpu.busy ?? null, processor: s.cpu.name || "", threads: s.cpu.threads, kernel: s.cpu.kernel,
    temperatures: s.temperatures || [],
    models: s.models.map((m) => ({ name: m.name, bytes: m.bytes, context: m.context, running: m.running, waiting: m.waiting })),
  };
}

// prompt is what the model sees of a conversation: {prompt, ids, segments}.
export function prompt(request, signal) {
  const { messages, model, system_mode } = request;
  const last = messages.at(-1);
  const open = last?.role === "assistant" ? { continue_final_message: true, add_generation_prompt: false } : {};
  return json("apply-template", { body: { messages, model, system_mode, ...open }, signal });
}

// pieces are the texts of tokens.
export async function pieces(ids, model, signal) {
  const { pieces } = await json("detokenize", { body: { tokens: ids, model, with_pieces: true }, signal });
  return pieces;
}

// answer streams the answer to a request, {model, messages, system_mode, carryOn, probabilities, options}, as parts:
//   {progress: {done, total}}            how much of the prompt is read
//   {text, tokens: [{text, p, top}]}     more of the answer; p and those of top, [text, p], are probabilities
//   {finish}                             why it ended: stop, length ...
//   {usage: {prompt, completion, cached}}, {decode} in tokens/s, {mode}: the system mode used, {seed}, {warnings}
export async function* answer({ model, messages, system_mode, carryOn, probabilities, options }, signal) {
  const body = { ...options, messages, stream: true, stream_options: { include_usage: true }, return_progress: true };
  if (model) body.model = model;
  if (system_mode) body.system_mode = system_mode;
  if (carryOn) Object.assign(body, { continue_final_message: true, add_generation_prompt: false });
  if (probabilities) Object.assign(body, { logprobs: true, top_logprobs: 8 });
  const response = await call("v1/chat/completions", { body, signal });
  const mode = response.headers.get("X-System-Mode");
  if (mode) yield { mode };
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    let chunk;
    try {
      chunk = JSON.parse(data);
    } catch {
      throw new APIError("The server sent something that is no JSON");
    }
    if (chunk.error) throw new APIError(chunk.error.message || String(chunk.error));
    if (chunk.prompt_progress) yield { progress: { done: chunk.prompt_progress.processed, total: chunk.prompt_progress.total } };
    const choice = chunk.choices?.[0];
    const text = choice?.delta?.content || "";
    const tokens = (choice?.logprobs?.content || []).map((t) => ({ text: t.token, p: Math.exp(t.logprob), top: (t.top_logprobs || []).map((x) => [x.token, Math.exp(x.logprob)]) }));
    if (text || tokens.length) yield { text, tokens };
    if (choice?.finish_reason) yield { finish: choice.finish_reason };
    const u = chunk.usage;
    if (u) yield { usage: { prompt: u.prompt_tokens, completion: u.completion_tokens, cached: u.prompt_tokens_details?.cached_tokens || 0 } };
    const x = chunk.systemgemma; // the server's own extension
    if (x) yield { mode: x.system_mode, seed: x.seed, warnings: [...(x.warnings || []), ...(x.ignored || []).map((o) => `${o} was ignored`), ...(x.cut ? ["the answer lacks a part of its format"] : [])] };
    if (x?.timings?.predicted_ms > 0) yield { decode: (x.timings.predicted_n * 1000) / x.timings.predicted_ms };
  }
  throw new APIError("The answer broke off: the connection to the server was lost");
}

// stored are the models that the server can open: [{name, bytes, type, id}]; id, by which one is removed, is "" of those that stay.
export async function stored() {
  const { models } = await json("api/tags");
  return models.map((m) => ({ name: m.name.replace(/:latest$/, ""), bytes: m.size, type: m.details?.quantization_level || "", id: m.systemgemma?.id || "" }));
}

// remove removes a model from the server's disk.
export const remove = (id) => call("api/delete", { method: "DELETE", body: { model: id } });

// pull has the server fetch a model, and yields how far that is: {text, done, total}, total 0 where it isn't told. If the model's terms must be
// accepted first, the error says so: terms is true.
export async function* pull(name, accept, signal) {
  const response = await call("api/pull", { body: { model: name, stream: true, ...(accept && { accept_license: true }) }, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", ended = false; ; ) {
    const { value, done } = await reader.read();
    if (done && !ended) throw new APIError("The server stopped telling how far it is");
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const x = JSON.parse(line);
      if (x.error) throw Object.assign(new APIError(x.error), { terms: x.code === "license_not_accepted" });
      ended = x.status === "success";
      yield { text: x.status, done: x.completed || 0, total: x.total || 0 };
    }
  }
}
