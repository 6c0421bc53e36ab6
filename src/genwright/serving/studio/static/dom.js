// Elements made of texts: nothing that came from a model or a file is ever read as markup.
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") for (const [name, act] of Object.entries(value)) made.addEventListener(name, act);
    else if (key === "class") made.className = value;
    else if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false && child !== ""));
  return made;
}

export const byId = (id) => document.getElementById(id);

export function notice(text, { bad = false, seconds = bad ? 12 : 5, action } = {}) {
  const close = () => made.remove();
  const button = action && el("button", { type: "button", on: { click: () => (close(), action.act()) } }, action.name);
  const made = el(
    "div",
    { class: bad ? "notice bad" : "notice", role: bad ? "alert" : null },
    el("p", {}, text),
    button,
    el("button", { type: "button", class: "plain", ariaLabel: "Close", on: { click: close } }, "×"),
  );
  for (const old of byId("notices").children) if (old.firstChild.textContent === text) old.remove();
  const open = [...document.querySelectorAll("dialog[open]")].pop();
  (open ?? document.body).append(byId("notices")); // above a dialog that is open
  byId("notices").append(made);
  if (seconds) setTimeout(close, 1000 * seconds);
  return made;
}

// Arrow keys move in a list whose items can be chosen; the list itself keeps the focus.
export function listbox(list, choose) {
  const options = () => [...list.querySelectorAll('[role="option"]')];
  const active = () => options().find((option) => option.id === list.getAttribute("aria-activedescendant"));
  const move = (to) => {
    for (const option of options()) option.setAttribute("aria-selected", String(option === to));
    if (to) {
      list.setAttribute("aria-activedescendant", to.id);
      to.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else list.removeAttribute("aria-activedescendant");
  };
  const step = (by) => {
    const all = options();
    const at = all.indexOf(active());
    if (all.length) move(all[Math.min(Math.max(at + by, 0), all.length - 1)]);
  };
  const keys = (event) => {
    const all = options();
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -all.length, End: all.length };
    if (event.altKey || event.ctrlKey || event.metaKey) return false;
    if (event.key in steps) step(steps[event.key]);
    else if (event.key === "Enter" && active()) choose(active(), all.indexOf(active()));
    else return false;
    event.preventDefault();
    return true;
  };
  list.addEventListener("click", (event) => {
    const option = event.target.closest('[role="option"]');
    if (option) choose(option, options().indexOf(option));
  });
  return { keys, move, first: () => move(options()[0]), active };
}
