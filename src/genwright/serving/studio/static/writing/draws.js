// Alternatives: drawn as a stream, shown as cards, one of them accepted.
import { Problem, stream } from "../api.js";
import { byId, el, notice } from "../dom.js";

const SETTINGS = { n: 3, max_new_tokens: 40, temperature: 0.9, seed: null, mode: "mask" };
const list = byId("alternatives");
const state = byId("drawing");

// `place()` is what the cursor stands on; `accept(alternative)` writes one; `drawn()` hears the end.
export function draws(doc, { place, cursor, accept, drawn, changed, defaults }) {
  let running = null;
  const standard = { ...SETTINGS, ...defaults };

  function settings() {
    return { ...standard, ...doc.settings };
  }

  function renderSettings() {
    for (const [key, value] of Object.entries(settings())) byId(key).value = value ?? "";
  }

  for (const key of Object.keys(SETTINGS)) {
    byId(key).addEventListener("change", ({ target }) => {
      const empty = target.value === "";
      if (!target.checkValidity() || (empty && key !== "seed")) {
        notice(`${target.labels[0].firstChild.textContent.trim()}: ${target.validationMessage || "a number is needed"}`, { bad: true });
        renderSettings();
        return;
      }
      doc.settings = { ...doc.settings, [key]: key === "mode" ? target.value : empty ? null : Number(target.value) };
      changed();
    });
  }

  async function draw() {
    stop();
    const mine = (running = new AbortController());
    const { n, ...given } = settings();
    const at = cursor();
    const fresh = Array.from({ length: n }, () => ({ text: "", at, end: "", seed: null }));
    byId("draw").hidden = true;
    byId("stop").hidden = false;
    if (document.activeElement === document.body || document.activeElement === byId("draw")) byId("stop").focus();
    state.textContent = "drawing …";
    doc.alternatives = fresh;
    render(true);
    let problem = null;
    try {
      await stream("draw", { ...place(), ...given, n, stream: true }, mine.signal, (event) => {
        if (event.seed !== undefined) fresh.forEach((each, i) => Object.assign(each, { seed: event.seed, draw: i }));
        else if (event.done) Object.assign(fresh[event.done.draw], event.done);
        else fresh[event.draw].text += event.text;
        update(event.done ?? event);
      });
      state.textContent = `${n === 1 ? "one alternative" : `${n} alternatives`}, seed ${fresh[0].seed}`;
    } catch (raised) {
      problem = raised;
      state.textContent = raised.name === "AbortError" ? "stopped" : "";
      if (raised instanceof Problem) state.append(el("span", { class: "problem", role: "alert" }, raised.message));
      for (const each of fresh) each.end ||= "stopped";
      if (doc.alternatives === fresh) doc.alternatives = fresh.filter((each) => each.text);
    } finally {
      if (running === mine) {
        running = null;
        if (document.activeElement === byId("stop")) byId("draw").focus();
        byId("draw").hidden = false;
        byId("stop").hidden = true;
      }
      render();
      changed();
      drawn();
    }
    if (problem && problem.name !== "AbortError" && !(problem instanceof Problem)) throw problem;
  }

  function stop() {
    const was = running !== null;
    running?.abort();
    return was;
  }

  function render(busy = false) {
    list.setAttribute("aria-busy", String(busy));
    const cards = doc.alternatives.map((each, i) =>
      el(
        "li",
        { class: "alternative", id: `alternative-${i}` },
        el("p", { class: "drawn" }, each.text || (busy ? "…" : "nothing: the text may end here")),
        el(
          "div",
          { class: "row" },
          el("span", { class: "small quiet facts" }, facts(each)),
          el(
            "button",
            { type: "button", ariaLabel: `Accept alternative ${i + 1}`, disabled: !each.text, on: { click: () => take(i) } },
            "Accept",
            i < 9 && el("kbd", {}, `Alt ${i + 1}`),
          ),
        ),
      ),
    );
    list.replaceChildren(...cards);
  }

  // One card as its draw goes on: the others stay as they are, and so does the focus.
  function update({ draw: i }) {
    const card = byId(`alternative-${i}`);
    const each = doc.alternatives[i];
    if (!card || !each) return;
    card.querySelector(".drawn").textContent = each.text || "…";
    card.querySelector(".facts").textContent = facts(each);
    card.querySelector("button").disabled = !each.text;
  }

  function facts(each) {
    const parts = [];
    if (each.end) parts.push(each.end);
    if (each.tokens) parts.push(`${each.tokens} tokens`);
    if (each.logprob && each.tokens) parts.push(`perplexity ${Math.exp(-each.logprob / each.tokens).toFixed(1)}`);
    if (each.masked > 0.005) parts.push(`filters took away ${each.masked.toFixed(1)} nats`);
    if (each.seed !== null && each.seed !== undefined) parts.push(`seed ${each.seed}, draw ${(each.draw ?? 0) + 1}`);
    return parts.join(" · ");
  }

  function take(i) {
    const each = doc.alternatives[i];
    if (!each?.text) return false;
    stop();
    accept(each);
    return true;
  }

  byId("draw").addEventListener("click", draw);
  byId("stop").addEventListener("click", stop);
  return { draw, stop, take, render, renderSettings, isRunning: () => running !== null };
}
