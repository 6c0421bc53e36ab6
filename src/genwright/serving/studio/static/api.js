// Requests to the studio. What goes wrong is a Problem, whose message a person can act on.
const root = document.body.className.split(" ")[0];

export class Problem extends Error {
  constructor(status, told) {
    super(told.message);
    this.status = status;
    this.code = told.code;
    this.param = told.param;
    this.after = told.after;
  }
}

const AWAY =
  "The studio does not answer. Look whether `genwright studio` is still running. Your text is kept in this browser meanwhile.";

async function send(method, path, body, signal, keepalive) {
  let answer;
  try {
    answer = await fetch(`/api/${root}/${path}`, {
      method,
      signal,
      keepalive,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { message: AWAY, code: "away" });
  }
  if (answer.ok) return answer;
  let told = { message: `The studio answered ${answer.status}. Its terminal may say more.` };
  try {
    told = (await answer.json()).error ?? told;
  } catch {
    /* an answer that is no JSON says nothing more */
  }
  throw new Problem(answer.status, { ...told, after: Number(answer.headers.get("Retry-After")) || 0 });
}

export async function ask(method, path, body, { signal, keepalive } = {}) {
  return (await send(method, path, body, signal, keepalive)).json();
}

// Calls `hear` with every event of a stream, until its end.
export async function stream(path, body, signal, hear) {
  const answer = await send("POST", path, body, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem(0, { message: AWAY, code: "away" });
    }
    if (piece.done) return;
    const parts = (waiting + piece.value).split("\n\n");
    waiting = parts.pop();
    for (const part of parts) {
      const event = JSON.parse(part.slice("data: ".length));
      if (event.error) throw new Problem(500, event.error);
      hear(event);
    }
  }
}
