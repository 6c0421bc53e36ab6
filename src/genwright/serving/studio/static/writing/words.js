// The likeliest next words, and those that filters take away.
import { Problem, ask } from "../api.js";
import { byId, el, listbox } from "../dom.js";

const REST = 220; // milliseconds without a key before the model is asked
const list = byId("words");
const state = byId("words-state");

export const share = (p) => (p >= 0.0995 ? `${Math.round(100 * p)}%` : p >= 0.001 ? `${(100 * p).toFixed(1)}%` : "<0.1%");

// Spaces and ends of lines are to be seen.
function shown(word) {
  if (word.kind === "end") return [el("em", { class: "quiet" }, "end of the text")];
  if (word.kind === "bytes") return [el("em", { class: "quiet" }, `part of a character, ${word.text}`)];
  const parts = word.text.split(/(\s)/).filter(Boolean);
  const marks = { " ": "␣", "\n": "↵", "\t": "⇥" };
  return parts.map((part) => (part in marks ? el("span", { class: "space" }, marks[part]) : part));
}

// `place()` is what the cursor stands on; `put(text)` writes; `found(answer)` hears the rest;
// `number(i)` is what filter i of the request is called on the page.
export function words({ place, put, found, number }) {
  let asking = null;
  let timer = 0;
  let told = [];

  const picker = listbox(list, (option, i) => told[i].kind === "text" && put(told[i].text));
  list.addEventListener("keydown", (event) => {
    if (/^[1-9]$/.test(event.key) && told[event.key - 1]?.kind === "text" && !event.altKey && !event.ctrlKey) {
      event.preventDefault();
      put(told[event.key - 1].text);
    } else picker.keys(event);
  });
  list.addEventListener("focus", () => picker.active() ?? picker.first());

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(look, REST);
  }

  async function look() {
    clearTimeout(timer);
    asking?.abort();
    const mine = (asking = new AbortController());
    state.textContent = "asking …";
    try {
      show(await ask("POST", "next", { ...place(), top: 12 }, { signal: mine.signal }));
    } catch (problem) {
      if (problem.name === "AbortError") return;
      if (!(problem instanceof Problem)) throw problem;
      state.textContent = problem.message;
      if (problem.after) timer = setTimeout(look, 1000 * problem.after);
    }
  }

  function show(answer) {
    told = answer.words;
    const most = Math.max(...told.map((word) => word.p), 1e-9);
    const index = list.contains(document.activeElement) || document.activeElement === list;
    list.replaceChildren(
      ...told.map((word, i) => {
        const bar = el("span", { class: "bar-of", "aria-hidden": "true" });
        bar.style.setProperty("--part", String(word.p / most));
        return el(
          "li",
          { role: "option", id: `word-${i}`, "aria-selected": "false", class: word.kind },
          bar,
          el("span", { class: "word" }, shown(word)),
          el("span", { class: "share" }, share(word.p)),
        );
      }),
    );
    list.removeAttribute("aria-activedescendant");
    if (index) picker.first();
    if (!told.length) list.append(el("li", { role: "presentation", class: "quiet small empty" }, "The filters allow nothing here. Switch one off, or change the text."));
    removed(answer);
    const held = answer.filters.some((each) => each.mass !== undefined);
    state.textContent = held ? `${share(answer.mass)} of the odds left` : "";
    found(answer);
    const later = Math.max(0, ...answer.filters.map((each) => (each.problem?.code === "preparing" ? 3 : 0)));
    if (later) timer = setTimeout(look, 1000 * later);
  }

  function removed(answer) {
    const box = byId("removed-box");
    box.hidden = !answer.removed.length;
    byId("removed-title").textContent = `Taken away: ${(answer.ways - answer.allowed).toLocaleString("en")} of ${answer.ways.toLocaleString("en")}`;
    byId("removed").replaceChildren(
      ...answer.removed.map((word) =>
        el(
          "li",
          {},
          el("s", { class: "word" }, shown(word)),
          el("span", { class: "share" }, share(word.raw)),
          el(
            "span",
            { class: "badges" },
            word.by.map((i) => el("span", { class: "badge" }, el("span", { class: "unseen" }, "by filter "), String(number(i)))),
          ),
        ),
      ),
    );
  }

  return { soon, look, focus: () => list.focus() };
}
