// The text, its cursor, the passage that filters hold, and the marks behind the letters.
import { byId } from "../dom.js";

const text = byId("text");
const behind = byId("behind");

// Where a place in a text is after it was changed into another.
export function moved(place, before, after) {
  let start = 0;
  const most = Math.min(before.length, after.length);
  while (start < most && before[start] === after[start]) start++;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  if (place <= start) return place;
  if (place >= before.length - end) return place + after.length - before.length;
  return start;
}

// `doc` holds text and passage; `changed(kind, before)` is told of every change, `looked` of the cursor.
export function editor(doc, { changed, looked }) {
  // Kept here: while another element has the focus, browsers need not tell where the cursor was.
  let caret = { start: 0, end: 0 };
  let marks = { passage: false, broken: null, fresh: null };

  const snapshot = () => ({
    text: doc.text,
    passage: doc.passage,
    cursor: cursor(),
    alternatives: doc.alternatives,
  });
  const cursor = () => caret.end;
  const note = () => (caret = { start: text.selectionStart, end: text.selectionEnd });

  function place(at) {
    text.setSelectionRange(at, at);
    caret = { start: at, end: at };
  }

  function paint() {
    const pieces = [];
    const cuts = new Set([0, doc.text.length]);
    const spans = [];
    if (marks.passage) spans.push([doc.passage, doc.text.length, "passage"]);
    if (marks.broken !== null) spans.push([marks.broken, Math.max(marks.broken + 1, endOfWord(marks.broken)), "broken"]);
    if (marks.fresh) spans.push([...marks.fresh, "fresh"]);
    for (const [from, to] of spans) cuts.add(from).add(Math.min(to, doc.text.length));
    const places = [...cuts].sort((a, b) => a - b);
    for (let i = 0; i + 1 < places.length; i++) {
      const span = document.createElement("span");
      span.textContent = doc.text.slice(places[i], places[i + 1]);
      span.className = spans
        .filter(([from, to]) => from <= places[i] && places[i + 1] <= to)
        .map((found) => found[2])
        .join(" ");
      pieces.push(span);
    }
    behind.replaceChildren(...pieces, "\u200b");
  }

  function endOfWord(at) {
    const rest = doc.text.slice(at).search(/.(?=\s|$)/s);
    return at + (rest < 0 ? 1 : rest + 1);
  }

  // Put a text in; places shift with it.
  function become(after, { at, fresh = null, kind = "edit" } = {}) {
    const before = snapshot();
    doc.passage = Math.min(moved(doc.passage, doc.text, after), after.length);
    doc.alternatives = doc.alternatives.map((each) => ({ ...each, at: moved(each.at, doc.text, after) }));
    doc.text = after;
    if (text.value !== after) text.value = after;
    if (at !== undefined) place(at);
    marks = { ...marks, fresh, broken: null };
    paint();
    changed(kind, before);
  }

  function insert(piece, at = cursor()) {
    const replaced = at === cursor() ? caret.start : at;
    become(doc.text.slice(0, replaced) + piece + doc.text.slice(at), {
      at: replaced + piece.length,
      fresh: [replaced, replaced + piece.length],
      kind: "insert",
    });
  }

  function show(state) {
    Object.assign(doc, { text: state.text, passage: state.passage, alternatives: state.alternatives });
    text.value = state.text;
    place(state.cursor ?? state.text.length);
    marks = { ...marks, fresh: null, broken: null };
    paint();
  }

  function mark(given) {
    marks = { ...marks, ...given };
    paint();
  }

  text.addEventListener("input", () => {
    note();
    become(text.value, { kind: "typing" });
  });
  document.addEventListener("selectionchange", () => {
    if (document.activeElement !== text) return;
    const was = caret.end;
    note();
    if (caret.end !== was) looked();
  });
  return { snapshot, cursor, insert, show, mark, paint, focus: () => text.focus() };
}
