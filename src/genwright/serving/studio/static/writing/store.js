// Documents between this page and their files: saved as one writes, and kept in the browser until they are.
import { Problem, ask } from "../api.js";
import { notice } from "../dom.js";

const DELAY = 700; // milliseconds of rest before a document is saved
const AGAIN = 4000; // and before it is tried again after a failure
const CURRENT = "studio-document";
const draftOf = (name) => `studio-draft-${name}`;

export const FIELDS = ["title", "text", "brief", "passage", "filters", "settings", "alternatives"];
export const EMPTY = { title: "", text: "", brief: "", passage: 0, filters: [], settings: {}, alternatives: [] };

const content = (doc) => Object.fromEntries(FIELDS.map((field) => [field, doc[field]]));

// `tell(state)` hears "saved", "saving", "unsaved" or a problem's message.
export function store(doc, tell) {
  let timer = 0;
  let saving = null;
  let dirty = false;

  function touch() {
    dirty = true;
    const draft = { revision: doc.revision, content: content(doc) };
    try {
      localStorage.setItem(draftOf(doc.name), JSON.stringify(draft));
    } catch {
      /* no room in the browser: the file is then the only copy */
    }
    tell("unsaved");
    clearTimeout(timer);
    timer = setTimeout(save, DELAY);
  }

  async function save({ keepalive = false } = {}) {
    clearTimeout(timer);
    if (saving) await saving;
    if (!dirty) return;
    dirty = false;
    tell("saving");
    saving = put(keepalive).finally(() => (saving = null));
    await saving;
  }

  async function put(keepalive) {
    const { name } = doc;
    try {
      const held = await ask("PUT", `documents/${name}`, { ...content(doc), revision: doc.revision }, { keepalive });
      doc.revision = held.revision;
      if (!dirty) {
        localStorage.removeItem(draftOf(name));
        tell("saved");
      }
    } catch (problem) {
      dirty = true;
      if (problem.code === "changed_elsewhere") return copy(problem.message);
      tell(problem);
      if (!(problem instanceof Problem) || problem.status === 400) return undefined;
      timer = setTimeout(save, AGAIN);
    }
    return undefined;
  }

  // Two versions: the other one stays, this one goes on as a document of its own.
  async function copy() {
    const old = doc.name;
    const made = await ask("POST", "documents", { ...content(doc), title: `${doc.title || "Untitled"} (mine)` });
    Object.assign(doc, made);
    localStorage.removeItem(draftOf(old));
    localStorage.setItem(CURRENT, doc.name);
    dirty = false;
    tell("saved");
    notice(`The document was changed elsewhere. Yours goes on as “${doc.title}”; the other one is as it was.`, { seconds: 0 });
  }

  async function open(name) {
    await save();
    take(await ask("GET", `documents/${name}`));
  }

  async function create(title = "") {
    if (doc.name) await save();
    take(await ask("POST", "documents", { ...EMPTY, title, settings: doc.settings ?? {} }));
  }

  function take(held) {
    const kept = JSON.parse(localStorage.getItem(draftOf(held.name)) ?? "null");
    Object.assign(doc, EMPTY, held);
    dirty = false;
    localStorage.setItem(CURRENT, held.name);
    if (!kept) return tell("saved");
    Object.assign(doc, kept.content);
    // the draft's own revision: what was saved elsewhere since must not be overwritten unseen
    doc.revision = kept.revision;
    dirty = true;
    tell("unsaved");
    return save();
  }

  // What was open last, else the latest, else a new one.
  async function resume() {
    const { documents } = await ask("GET", "documents");
    const names = documents.filter((each) => !each.problem).map((each) => each.name);
    const last = localStorage.getItem(CURRENT);
    const name = names.includes(last) ? last : names[0];
    if (name) await open(name);
    else await create();
  }

  async function remove(name) {
    const { moved_to } = await ask("DELETE", `documents/${name}`);
    localStorage.removeItem(draftOf(name));
    if (name === doc.name) {
      dirty = false;
      doc.name = "";
      await resume();
    }
    return moved_to;
  }

  document.addEventListener("visibilitychange", () => document.hidden && dirty && save({ keepalive: true }));
  return { touch, save, open, create, resume, remove };
}
