// Server-sent events, as the streams of the API send them (WHATWG HTML, section 9.2.6): only data lines matter here.

// events yields the data of each event of a stream of bytes. Lines end with LF, CR LF or CR; comments and other fields are skipped.
export async function* events(stream) {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  let rest = "", data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = rest.split(/\r\n|\n|\r(?!$)/); // a CR at the end may be half of CR LF
      rest = done ? "" : lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield data.join("\n");
          data = [];
        } else if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        }
      }
      if (done) {
        if (data.length) yield data.join("\n"); // a server that forgets the last empty line
        return;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
