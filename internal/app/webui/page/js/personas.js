// Personas are system prompts with a name. Mini, the model inside the program, was trained to follow these.

export const builtIn = [
  { name: "Pirate", system: "Talk like a pirate." },
  { name: "Robot", system: "You are a robot." },
  { name: "Teacher", system: "You are a teacher." },
  { name: "Wizard", system: "You are a wizard." },
  { name: "Brief", system: "Answer in one word." },
  { name: "JSON", system: "Reply with JSON." },
  { name: "Helpful", system: "You are a helpful assistant in a conversation." },
  { name: "Careful", system: "Answer with facts, briefly. If you do not know, say so." },
];

// starters are first questions that even Mini can answer.
export const starters = ["What is the capital of France?", "Tell me a joke.", "What do bees make?", "Who are you?"];

// modes are the ways to put a system prompt into Gemma 2's prompt, which has no place of its own for one.
export const modes = [
  ["", "Model's own"],
  ["systemgemma2", "systemgemma2: bare text at the very beginning"],
  ["merge", "merge: before the first message, a blank line between"],
  ["merge-nl", "merge-nl: before the first message, one line end between"],
  ["merge-space", "merge-space: before the first message, one space between"],
  ["turn", "turn: a turn of its own, named system"],
  ["developer-turn", "developer-turn: a turn of its own, named developer"],
  ["exchange", "exchange: said first, and agreed to by the model"],
  ["strict", "strict: refuse system prompts, as Google's template does"],
];
