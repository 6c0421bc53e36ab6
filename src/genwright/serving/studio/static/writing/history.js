// What was before: texts to go back to. Letters typed in a row are one step.
const MOST = 200;
const ROW = 1200; // milliseconds between letters of one row
const KEPT = 400_000; // characters kept over a reload

export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.past = [];
    this.future = [];
    this.last = { kind: "", at: 0 };
  }

  // Note how things were before a change.
  record(before, kind) {
    const now = Date.now();
    const goesOn = kind === "typing" && this.last.kind === kind && now - this.last.at < ROW;
    this.last = { kind, at: now };
    this.future = [];
    if (goesOn) return;
    this.past.push(before);
    if (this.past.length > MOST) this.past.shift();
  }

  undo(present) {
    return this.#step(this.past, this.future, present);
  }

  redo(present) {
    return this.#step(this.future, this.past, present);
  }

  #step(from, to, present) {
    if (!from.length) return null;
    to.push(present);
    this.last = { kind: "", at: 0 };
    return from.pop();
  }

  keep(key, text) {
    let past = this.past.slice(-50);
    while (past.length && JSON.stringify(past).length > KEPT) past = past.slice(Math.ceil(past.length / 2));
    sessionStorage.setItem(key, JSON.stringify({ text, past }));
  }

  recall(key, text) {
    this.clear();
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "null");
    if (kept?.text === text) this.past = kept.past;
  }
}
