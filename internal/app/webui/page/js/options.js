// The options of an answer, under the API's names, and presets of them. An option that is empty isn't sent: the server's default holds.

// groups of [name, label, {min, max, step}, what it does]. Options without limits are texts.
export const groups = [
  ["Basics", [
    ["temperature", "Temperature", { min: 0, max: 100, step: 0.1 }, "0 always takes the likeliest token; higher is more surprising"],
    ["max_tokens", "Longest answer", { min: 1, max: 1_000_000, step: 1 }, "In tokens"],
    ["min_tokens", "Shortest answer", { min: 0, max: 1_000_000, step: 1 }, "In tokens; it can't end before"],
    ["max_time", "Longest time", { min: 0, max: 1_000_000, step: 1 }, "In seconds; what has come by then is the answer"],
    ["seed", "Seed", { min: 1, max: 9_007_199_254_740_991, step: 1 }, "The same seed gives the same answer on every machine"],
    ["stop", "Stop texts", "lines", "One per line; the answer ends before any of them"],
  ]],
  ["Which tokens may come", [
    ["top_k", "Top K", { min: 0, max: 1_000_000, step: 1 }, "Only the k likeliest tokens"],
    ["top_p", "Top P", { min: 0, max: 1, step: 0.01 }, "The fewest tokens whose probabilities sum to p"],
    ["min_p", "Min P", { min: 0, max: 1, step: 0.01 }, "Tokens with at least this share of the best one's probability"],
    ["typical_p", "Typical P", { min: 0, max: 1, step: 0.01 }, "Tokens whose surprise is near the expected one"],
    ["top_h", "Top H", { min: 0, max: 1, step: 0.05 }, "The best tokens that hold this share of the entropy"],
    ["top_n_sigma", "Top n sigma", { min: 0, max: 100, step: 0.1 }, "Logits within n standard deviations of the best"],
    ["xtc_probability", "XTC probability", { min: 0, max: 1, step: 0.05 }, "How often the likeliest tokens are left out"],
    ["min_keep", "At least", { min: 0, max: 1_000, step: 1 }, "Tokens that all of these leave"],
    ["xtc_threshold", "XTC threshold", { min: 0, max: 0.5, step: 0.05 }, "What counts as likely"],
    ["epsilon_cutoff", "Epsilon cutoff", { min: 0, max: 0.9999, step: 0.0001 }, "Tokens of at least this probability"],
    ["eta_cutoff", "Eta cutoff", { min: 0, max: 0.9999, step: 0.0001 }, "The same, but less where many tokens are possible"],
  ]],
  ["Repetition", [
    ["repeat_penalty", "Repeat penalty", { min: 0.01, max: 100, step: 0.05 }, "Above 1 makes tokens that were there less likely"],
    ["repeat_last_n", "Looks back", { min: -1, max: 1_000_000, step: 1 }, "Tokens that penalties look back; -1 for all"],
    ["presence_penalty", "Presence penalty", { min: -100, max: 100, step: 0.1 }, "Taken from a token that was there"],
    ["frequency_penalty", "Frequency penalty", { min: -100, max: 100, step: 0.1 }, "Taken for each time it was there"],
    ["encoder_repetition_penalty", "Prompt penalty", { min: 0.01, max: 100, step: 0.05 }, "Above 1 makes tokens of the prompt likelier"],
    ["no_repeat_ngram_size", "No repeated n-gram", { min: 0, max: 1_000, step: 1 }, "Never the same n tokens in a row twice"],
    ["dry_multiplier", "DRY multiplier", { min: 0, max: 100, step: 0.1 }, "Against repeated passages; 0 is off"],
    ["dry_base", "DRY base", { min: 1, max: 100, step: 0.05 }, "How fast it grows with their length"],
    ["dry_allowed_length", "DRY allowed length", { min: 1, max: 1_000, step: 1 }, "Repetitions this long are free"],
    ["dry_penalty_last_n", "DRY looks back", { min: -1, max: 1_000_000, step: 1 }, "In tokens; -1 for all"],
  ]],
  ["Adaptive", [
    ["dynatemp_range", "Dynamic temperature", { min: 0, max: 100, step: 0.1 }, "How far the temperature moves with the model's doubt"],
    ["dynatemp_exponent", "Its exponent", { min: 0.01, max: 10, step: 0.1 }, "Bends the way between"],
    ["mirostat", "Mirostat", { min: 0, max: 2, step: 1 }, "Keeps surprise steady: version 1 or 2; 0 is off"],
    ["mirostat_tau", "Mirostat tau", { min: 0.01, max: 100, step: 0.1 }, "The surprise to keep, in bits"],
    ["mirostat_eta", "Mirostat eta", { min: 0.001, max: 1, step: 0.01 }, "How fast it adapts"],
  ]],
];

export const fields = new Map(groups.flatMap(([, list]) => list.map((f) => [f[0], f])));

// presets that are always there; the library's own modes are among them.
export const presets = [
  { name: "Default", options: {} },
  { name: "Exact", options: { temperature: 0 } },
  { name: "Chat", options: { temperature: 0.7 } },
  { name: "Factual", options: { temperature: 0.3, repeat_penalty: 1.2 } },
  { name: "Creative", options: { temperature: 1.5, min_p: 0.08 } },
];

// read takes what was typed for an option; undefined means empty. It throws an Error that says what is wanted.
export function read(name, typed) {
  const [, label, limits] = fields.get(name);
  if (limits === "lines") {
    const lines = (typed || "").split("\n").filter((l) => l !== "");
    if (lines.length > 16) throw new Error(`${label}: want at most 16, found ${lines.length}`);
    return lines.length ? lines : undefined;
  }
  if (typed.trim() === "") return undefined;
  const x = Number(typed);
  const whole = Number.isInteger(limits.step);
  if (!Number.isFinite(x) || x < limits.min || x > limits.max || (whole && !Number.isInteger(x))) {
    throw new Error(`${label}: want ${whole ? "a whole number" : "a number"} from ${limits.min} to ${limits.max}, found ${typed.slice(0, 20)}`);
  }
  return x;
}

// clean keeps of stored or imported options what this page knows and would accept.
export function clean(options) {
  const result = {};
  for (const [name, value] of Object.entries(options && typeof options === "object" ? options : {})) {
    if (!fields.has(name)) continue;
    try {
      const x = read(name, Array.isArray(value) ? value.map(String).join("\n") : String(value));
      if (x !== undefined) result[name] = x;
    } catch {
      // Out of range: as if it were not set.
    }
  }
  return result;
}

// nameOf is the preset that options equal, if any.
export function nameOf(options, all) {
  const text = (o) => JSON.stringify(Object.entries(o).sort());
  return all.find((p) => text(p.options) === text(options))?.name || "";
}
