// The filters of a document: cards, and the dialog that adds and changes them.
import { byId, el, listbox } from "../dom.js";
import { form } from "./form.js";

const dialog = byId("filter-dialog");
const search = byId("filter-search");
const list = byId("filter-list");
const filling = byId("filter-form");
const percent = new Intl.NumberFormat("en", { style: "percent", maximumSignificantDigits: 3 });
const count = new Intl.NumberFormat("en");

export function filters(doc, { forms, inner, leftOut, changed }) {
  const every = { ...inner, ...forms };
  let told = [];
  let editing = null;

  function render() {
    const cards = doc.filters.map((each, i) => card(each, i));
    const none = el("li", { class: "quiet small empty" }, "No filter holds: the model may write anything.");
    byId("filters").replaceChildren(...(cards.length ? cards : [none]));
  }

  function card(each, i) {
    const { name, within } = named(each);
    const stat = el("p", { class: "small quiet" });
    const problem = el("div", { role: "alert" });
    const tell = () => {
      const state = each.on ? told[i] : undefined;
      problem.replaceChildren(...(state?.problem ? [el("p", { class: "problem" }, state.problem.message)] : []));
      stat.textContent = "";
      if (!each.on) stat.textContent = "switched off";
      else if (state?.mass !== undefined) stat.textContent = `takes away ${count.format(state.removed)} ways on, ${percent.format(state.mass)} of the odds`;
    };
    tell();
    const change = (act) => () => (act(), render(), changed());
    return Object.assign(
      el(
        "li",
        { class: each.on ? "card" : "card off" },
        el(
          "div",
          { class: "row" },
          el("span", { class: "badge", "aria-hidden": "true" }, String(i + 1)),
          el("span", { class: "name" }, el("strong", {}, name), el("span", { class: "quiet small" }, within)),
          el("input", {
            type: "checkbox",
            role: "switch",
            checked: each.on,
            ariaLabel: `Filter ${i + 1}, ${name}, holds`,
            on: { change: change(() => (each.on = !each.on)) },
          }),
          el("button", { type: "button", class: "plain", ariaLabel: `Change filter ${i + 1}, ${name}`, on: { click: () => edit(i) } }, "Change"),
          el("button", { type: "button", class: "plain", ariaLabel: `Remove filter ${i + 1}, ${name}`, on: { click: change(() => doc.filters.splice(i, 1)) } }, "Remove"),
        ),
        el("p", { class: "values code" }, words(each)),
        stat,
        problem,
      ),
      { tell },
    );
  }

  // A filter that holds one part is called as that part is.
  function named({ method, values }) {
    const title = every[method]?.title ?? method;
    const lists = Object.values(values ?? {}).filter((value) => Array.isArray(value) && value[0]?.method);
    const part = lists.length === 1 && lists[0].length === 1 && inner[lists[0][0].method];
    return part ? { name: part.title, within: `, ${title.toLowerCase()}` } : { name: title, within: "" };
  }

  // What was filled in, where it is not what the form began with.
  function words({ method, values }) {
    const one = (value) => (value?.method ? `${every[value.method]?.title ?? value.method} (${words(value)})` : String(value));
    const parts = [];
    for (const field of every[method]?.fields ?? []) {
      const value = values?.[field.name];
      if (value === undefined || JSON.stringify(value) === JSON.stringify(field.default)) continue;
      const name = field.name.replaceAll("_", " ");
      if (field.required && field.kind.startsWith("method")) parts.push([value].flat().map((each) => (named({ method, values }).within ? words(each) : one(each))).join(", "));
      else if (typeof value === "boolean") parts.push(value ? name : `not ${name}`);
      else parts.push(`${name}: ${[value].flat().map(one).join(", ")}`);
    }
    const said = parts.filter(Boolean).join(" · ");
    return said.length > 240 ? `${said.slice(0, 240)}…` : said;
  }

  // What the server found: for every filter that is on, in order.
  function tell(found) {
    told = [];
    let k = 0;
    doc.filters.forEach((each, i) => each.on && (told[i] = found?.[k++]));
    for (const each of byId("filters").children) each.tell?.();
  }

  // What can be chosen: every method, and what only ever is a part of one, by its own name.
  const offers = Object.values(forms).flatMap((each) => {
    const field = each.fields.find(({ kind, required }) => required && kind === "methods");
    const parts = (field?.choices ?? []).filter((name) => inner[name]);
    const words = parts.map((name) => ({
      name: each.name,
      title: inner[name].title,
      within: each.title,
      summary: inner[name].summary,
      filled: { [field.name]: [{ method: name, values: {} }] },
    }));
    return [each, ...words];
  });
  offers.sort((a, b) => a.title.localeCompare(b.title));

  function choices() {
    const asked = search.value.trim().toLowerCase().split(/\s+/);
    const hits = offers.filter((each) => {
      const told = `${each.title} ${each.within ?? ""} ${each.name} ${each.summary}`.toLowerCase();
      return asked.every((word) => told.includes(word));
    });
    const named = (each) => `${each.title} ${each.within ?? ""}`.toLowerCase().startsWith(asked[0]);
    hits.sort((a, b) => named(b) - named(a)); // a name that begins so goes before a word inside
    list.replaceChildren(
      ...hits.map((each, i) =>
        Object.assign(
          el(
            "li",
            { role: "option", id: `offer-${i}`, "aria-selected": "false" },
            el("span", {}, el("strong", {}, each.title), each.within && el("span", { class: "quiet" }, `, ${each.within.toLowerCase()}`)),
            el("span", { class: "quiet small" }, each.summary),
          ),
          { offer: each },
        ),
      ),
    );
    if (!hits.length) list.append(el("li", { class: "quiet small", role: "presentation" }, `Nothing is called “${search.value}”.`));
    // the search keeps the focus, so it says what is active
    picker.first();
    point();
  }

  const picker = listbox(list, ({ offer }) => fill(offer.name, offer.filled));
  const point = () => search.setAttribute("aria-activedescendant", list.getAttribute("aria-activedescendant") ?? "");
  search.addEventListener("input", choices);
  search.addEventListener("keydown", (event) => {
    if (["ArrowDown", "ArrowUp", "Enter"].includes(event.key) && picker.keys(event)) point();
  });

  function fill(name, filled, at = null) {
    editing = at;
    const made = form(every, name, filled);
    const each = every[name];
    byId("filter-title").textContent = each.title;
    byId("filter-choice").hidden = true;
    filling.hidden = false;
    filling.replaceChildren(
      el("p", {}, each.summary),
      each.help && el("p", { class: "quiet small" }, each.help),
      each.paper && el("p", { class: "quiet small" }, each.paper),
      made.node,
      el(
        "div",
        { class: "row end" },
        at === null && el("button", { type: "button", class: "plain", on: { click: () => add() } }, "Back"),
        el("button", { type: "submit", class: "main" }, at === null ? "Add" : "Change", el("kbd", {}, "Ctrl Enter")),
      ),
    );
    filling.onsubmit = (event) => {
      event.preventDefault();
      const held = { method: name, values: made.values(), on: true };
      const first = !doc.filters.length;
      if (editing === null) doc.filters.push(held);
      else doc.filters[editing] = held;
      dialog.close();
      told = [];
      render();
      changed({ first });
    };
    const first = filling.querySelector(filled && at === null ? ".nested input, .nested textarea" : "input, textarea, select");
    (first ?? filling.querySelector("button.main")).focus();
  }
  filling.addEventListener("keydown", (event) => {
    const many = event.target.rows > 1; // there, Enter begins the next line
    if (event.key === "Enter" && event.target.tagName === "TEXTAREA" && !event.shiftKey && (!many || event.ctrlKey)) {
      event.preventDefault();
      event.stopPropagation(); // it is no key of the page beneath
      filling.requestSubmit();
    }
  });

  function add() {
    byId("filter-title").textContent = "Add a filter";
    byId("filter-choice").hidden = false;
    filling.hidden = true;
    search.value = "";
    if (!dialog.open) dialog.showModal();
    choices();
    search.focus();
  }

  function edit(i) {
    if (!every[doc.filters[i].method]) return;
    dialog.showModal();
    fill(doc.filters[i].method, doc.filters[i].values, i);
  }

  byId("add").addEventListener("click", add);
  byId("left-out").hidden = !Object.keys(leftOut).length;
  byId("left-out").lastElementChild.replaceChildren(...Object.entries(leftOut).map(([name, why]) => el("li", {}, `${name}: ${why}`)));
  const active = () => doc.filters.filter((each) => each.on).map(({ method, values }) => ({ method, values }));
  return { render, tell, add, active };
}
