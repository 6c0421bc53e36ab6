// The page for writing: what its parts tell one another, and the keys.
import { Problem, ask } from "../api.js";
import { byId, el, notice } from "../dom.js";
import { documents } from "./documents.js";
import { draws } from "./draws.js";
import { editor } from "./editor.js";
import { filters } from "./filters.js";
import { History } from "./history.js";
import { EMPTY, store } from "./store.js";
import { words } from "./words.js";

const doc = { name: "", revision: 0, ...EMPTY };
const history = new History();
const undoKey = () => `studio-undo-${doc.name}`;

function failed(problem) {
  if (problem.name === "AbortError") return;
  if (!(problem instanceof Problem)) {
    notice("The page failed. Reload it: your text is kept.", { bad: true, seconds: 0 });
    throw problem;
  }
  notice(problem.message, { bad: true, seconds: problem.status === 401 ? 0 : 12 });
}

function tellSaved(state) {
  const told = { saved: "Saved", saving: "Saving …", unsaved: "Not saved yet" };
  byId("saved").textContent = told[state] ?? "Not saved: kept in this browser";
  if (!(state in told)) failed(state);
}

async function begin() {
  const { forms, inner, left_out: leftOut, model, folder } = await ask("GET", "forms");
  const named = (list) => Object.fromEntries(list.map((each) => [each.name, each]));
  const keep = store(doc, tellSaved);

  const sheet = editor(doc, {
    changed(kind, before) {
      history.record(before, kind);
      after();
      if (kind === "insert") panel.draws.render();
    },
    looked: () => panel.words.soon(),
  });
  const place = () => {
    const before = doc.text.slice(0, sheet.cursor());
    const from = panel.filters.active().length ? Math.min(doc.passage, before.length) : 0;
    const brief = model.brief ? doc.brief : "";
    return { context: before.slice(0, from), passage: before.slice(from), brief, filters: panel.filters.active() };
  };
  const write = (piece, at) => {
    sheet.insert(piece, at);
    panel.words.look();
  };
  const holding = () => doc.filters.map((each, i) => (each.on ? i : -1)).filter((i) => i >= 0);

  const panel = {
    filters: filters(doc, {
      forms: named(forms),
      inner: named(inner),
      leftOut,
      changed({ first = false } = {}) {
        if (first) doc.passage = sheet.cursor();
        after();
        panel.words.look();
      },
    }),
    words: words({
      place,
      put: (piece) => write(piece),
      number: (i) => holding()[i] + 1,
      found(answer) {
        panel.filters.tell(answer.filters);
        const broken = answer.filters.find((each) => each.problem?.at !== undefined);
        sheet.mark({ broken: broken ? doc.passage + broken.problem.at : null });
      },
    }),
    draws: draws(doc, {
      place,
      cursor: sheet.cursor,
      accept(each) {
        const { at } = each;
        sheet.insert(each.text, at);
        doc.alternatives = [];
        panel.draws.render();
        after();
        sheet.focus();
        panel.words.look();
      },
      drawn: () => keep.save(),
      changed: () => after(),
      defaults: { temperature: model.temperature },
    }),
    documents: documents(doc, { keep, opened, failed, folder }),
  };

  function after() {
    keep.touch();
    history.keep(undoKey(), doc.text);
    sheet.mark({ passage: panel.filters.active().length > 0 });
    passage();
    panel.words.soon();
  }

  // Where the filters begin to hold, in words, with what to do about it.
  function passage() {
    const box = byId("passage");
    if (!doc.filters.length) return box.replaceChildren();
    const start = doc.text.slice(doc.passage, doc.passage + 24).trim();
    const where = doc.passage === 0 ? "from the beginning" : start ? `from “${start}…”` : "from the end of the text";
    const set = (to) => () => {
      doc.passage = to();
      after();
      sheet.focus();
    };
    return box.replaceChildren(
      el("p", { class: "quiet" }, `They hold ${where} on.`),
      el("button", { type: "button", on: { click: set(sheet.cursor) } }, "From the cursor", el("kbd", {}, "Alt B")),
      el("button", { type: "button", on: { click: set(() => 0) } }, "From the beginning"),
    );
  }

  function opened() {
    byId("title").value = doc.title;
    byId("brief").value = doc.brief;
    byId("brief-box").open = Boolean(doc.brief);
    document.title = `${doc.title || "Untitled"} · genwright studio`;
    history.recall(undoKey(), doc.text);
    sheet.show({ ...doc, cursor: doc.text.length });
    sheet.mark({ passage: panel.filters.active().length > 0 });
    panel.filters.render();
    panel.draws.render();
    panel.draws.renderSettings();
    passage();
    panel.words.look();
  }

  function travel(step) {
    const found = history[step](sheet.snapshot());
    if (!found) return notice(step === "undo" ? "There is nothing to undo." : "There is nothing to redo.", { seconds: 2 });
    sheet.show(found);
    panel.draws.render();
    after();
    return undefined;
  }

  byId("title").addEventListener("input", ({ target }) => {
    doc.title = target.value;
    document.title = `${doc.title || "Untitled"} · genwright studio`;
    after();
  });
  byId("brief").addEventListener("input", ({ target }) => {
    doc.brief = target.value;
    after();
  });
  byId("brief-box").hidden = !model.brief;
  byId("removed-box").open = !matchMedia("(max-width: 48rem)").matches;
  byId("text").addEventListener("beforeinput", (event) => {
    const steps = { historyUndo: "undo", historyRedo: "redo" };
    if (event.inputType in steps) {
      event.preventDefault();
      travel(steps[event.inputType]);
    }
  });
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }

  const KEYS = [
    ["Ctrl Enter", "draw alternatives", { ctrl: "Enter" }, () => panel.draws.draw().catch(failed)],
    ["Esc", "stop drawing", { key: "Escape" }, () => panel.draws.stop()],
    ["Alt 1 … Alt 9", "accept an alternative", { alt: /^Digit([1-9])$/ }, (n) => panel.draws.take(n - 1)],
    ["Alt A", "add a filter", { alt: /^KeyA$/ }, () => panel.filters.add()],
    ["Alt B", "let the filters hold from the cursor on", { alt: /^KeyB$/ }, () => byId("passage").querySelector("button")?.click()],
    ["Alt W", "go to the next words; arrows and Enter, or 1 … 9, write one", { alt: /^KeyW$/ }, () => panel.words.focus()],
    ["Alt T", "go to the text", { alt: /^KeyT$/ }, () => sheet.focus()],
    ["Ctrl Z, Ctrl Shift Z", "undo, redo", null, null],
    ["Alt O", "open a document", { alt: /^KeyO$/ }, () => panel.documents.show()],
    ["Alt N", "begin a new document", { alt: /^KeyN$/ }, () => panel.documents.create()],
    ["Ctrl S", "save now (it is saved as you write)", { ctrl: "s" }, () => keep.save()],
    ["F1", "show these keys", { key: "F1" }, () => byId("keys-dialog").showModal()],
  ];
  byId("keys").replaceChildren(...KEYS.map(([keys, told]) => el("tr", {}, el("th", { scope: "row" }, keys.split(/( … |, | )/).map((part) => (/^( … |, | )$/.test(part) ? part : el("kbd", {}, part)))), el("td", {}, told))));

  function pressed(wanted, event) {
    if (!wanted) return null;
    const ctrl = event.ctrlKey || event.metaKey;
    if (wanted.ctrl) return ctrl && !event.altKey && event.key === wanted.ctrl ? [] : null;
    if (wanted.key) return !ctrl && !event.altKey && event.key === wanted.key ? [] : null;
    return event.altKey && !ctrl ? event.code.match(wanted.alt) : null;
  }
  document.addEventListener("keydown", (event) => {
    const open = document.querySelector("dialog[open]");
    if ((event.ctrlKey || event.metaKey) && /^[zy]$/i.test(event.key) && event.target === byId("text")) {
      event.preventDefault();
      travel(event.key.toLowerCase() === "y" || event.shiftKey ? "redo" : "undo");
      return;
    }
    if (open && event.key === "Escape") {
      event.preventDefault();
      open.close();
      return;
    }
    for (const [, , wanted, act] of KEYS) {
      const found = pressed(wanted, event);
      if (!found || (open && wanted.key !== "F1")) continue;
      if (open && wanted.key === "F1") return;
      if (wanted.key === "Escape" && !panel.draws.isRunning()) {
        if (event.target === byId("words")) sheet.focus();
        return;
      }
      event.preventDefault();
      act(Number(found[1]));
      return;
    }
  });

  byId("tools").prepend(
    el("button", { type: "button", class: "plain", on: { click: () => panel.documents.show() } }, "Documents", el("kbd", {}, "Alt O")),
    el("button", { type: "button", class: "plain keys-only", on: { click: () => byId("keys-dialog").showModal() } }, "Keys", el("kbd", {}, "F1")),
  );
  await keep.resume();
  opened();
  sheet.focus();
  document.body.dataset.ready = "yes";
}

begin().catch(failed);
