// A form for one method, from what its constructor asks for.
import { el } from "../dom.js";

let number = 0;
const spoken = (name) => name.replaceAll("_", " ");

// Returns {node, values()}; `forms` holds every form by name.
export function form(forms, name, filled = {}) {
  const fields = forms[name].fields.map((field) => ({ field, ...input(forms, field, filled[field.name]) }));
  const node = el("div", { class: "fields" }, fields.map((each) => each.node));
  const values = () => {
    const given = {};
    for (const { field, read } of fields) {
      const value = read();
      if (value !== null && value !== undefined) given[field.name] = value;
    }
    return given;
  };
  return { node, values };
}

function input(forms, field, given) {
  const id = `field-${++number}`;
  const value = given ?? field.default;
  const help = field.help && el("p", { class: "quiet small", id: `${id}-help` }, field.help);
  const common = { id, required: field.required, "aria-describedby": help ? `${id}-help` : null };
  const { control, read } = KINDS[field.kind](forms, field, value, common);
  const needed = field.required ? el("span", { class: "quiet" }, " needed") : "";
  const label = el("label", { htmlFor: id }, spoken(field.name), needed);
  const beside = field.kind === "toggle";
  const node = el("div", { class: beside ? "field beside" : "field" }, beside ? [control, label] : [label, control], help);
  return { node, read };
}

const plain = (properties) => el("input", { type: "text", autocomplete: "off", spellcheck: false, ...properties });
const area = (properties) => el("textarea", { rows: 1, spellcheck: false, autocomplete: "off", ...properties });

const KINDS = {
  text(forms, field, value, common) {
    const control = area({ ...common, class: "code", value: value ?? "" });
    return { control, read: () => (control.value === "" && !field.required ? null : control.value) };
  },
  texts(forms, field, value, common) {
    const control = area({ ...common, rows: 3, value: (value ?? []).join("\n"), placeholder: "one a line" });
    const read = () => {
      const lines = control.value.split("\n").map((line) => line.trim()).filter(Boolean);
      return lines.length || field.required || value?.length ? lines : null;
    };
    return { control, read };
  },
  numbers(forms, field, value, common) {
    const control = plain({ ...common, value: (value ?? []).join(", "), placeholder: "such as 5, 7, 5" });
    const read = () => {
      const parts = control.value.split(/[\s,;]+/).filter(Boolean).map(Number);
      return parts.length || field.required ? parts : null;
    };
    return { control, read };
  },
  number: (forms, field, value, common) => counted(value, { ...common, step: "any" }),
  integer: (forms, field, value, common) => counted(value, { ...common, step: 1 }),
  toggle(forms, field, value, common) {
    const control = el("input", { ...common, type: "checkbox", checked: Boolean(value), required: false });
    return { control, read: () => control.checked };
  },
  choice(forms, field, value, common) {
    const words = field.choices.map((word) => el("option", { value: word, selected: word === value }, spoken(word)));
    if (!field.required && value === null) words.unshift(el("option", { value: "", selected: true }, "—"));
    const control = el("select", common, words);
    return { control, read: () => control.value || null };
  },
  method(forms, field, value, common) {
    return nested(forms, field, value, common);
  },
  methods(forms, field, value, common) {
    const parts = [];
    const list = el("div", { class: "parts" });
    const add = (given) => {
      const part = nested(forms, field, given, { required: true });
      const remove = el("button", { type: "button", class: "plain", on: { click: () => (parts.splice(parts.indexOf(part), 1), row.remove()) } }, "Remove");
      const row = el("div", { class: "part" }, part.control, remove);
      parts.push(part);
      list.append(row);
    };
    for (const given of value?.length ? value : [undefined]) add(given);
    const more = el("button", { type: "button", on: { click: () => add() } }, "Add a part");
    const control = el("div", { id: common.id, role: "group", "aria-label": spoken(field.name) }, list, more);
    return { control, read: () => parts.map((part) => part.read()).filter(Boolean) };
  },
};

function counted(value, properties) {
  const control = el("input", { ...properties, type: "number", value: value ?? "" });
  return { control, read: () => (control.value === "" ? null : Number(control.value)) };
}

// A method inside a method: its name, and its own fields beneath.
function nested(forms, field, value, common) {
  const inside = el("div", { class: "nested" });
  const start = value?.method ?? (field.required ? field.choices[0] : "");
  const words = field.choices.filter((name) => forms[name]);
  let held = null;
  const choose = (name, filled) => {
    held = name ? { name, ...form(forms, name, filled) } : null;
    inside.replaceChildren(...(held ? [el("p", { class: "quiet small" }, forms[name].summary), held.node] : []));
  };
  const options = words.map((name) => el("option", { value: name, selected: name === start }, forms[name].title));
  if (!field.required) options.unshift(el("option", { value: "", selected: !start }, "—"));
  const select = el("select", { ...common, "aria-label": common.id ? null : "Kind", on: { change: () => choose(select.value) } }, options);
  choose(forms[start] ? start : select.value, value?.values ?? value);
  const control = el("div", {}, select, inside);
  return { control, read: () => held && { method: held.name, values: held.values() } };
}
