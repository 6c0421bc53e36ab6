// The list of documents.
import { ask } from "../api.js";
import { byId, el, notice } from "../dom.js";

const dialog = byId("documents-dialog");
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

function when(seconds) {
  const past = seconds - Date.now() / 1000;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(past) >= size) return ago.format(Math.round(past / size), unit);
  }
  return "just now";
}

export function documents(doc, { keep, opened, failed, folder }) {
  byId("folder").textContent = `Plain JSON files in ${folder}.`;

  async function show() {
    try {
      await keep.save();
      render((await ask("GET", "documents")).documents);
      if (!dialog.open) dialog.showModal();
      (dialog.querySelector("[aria-current]") ?? byId("new")).focus();
    } catch (problem) {
      failed(problem);
    }
  }

  const attempt = (act) => async () => {
    try {
      await act();
    } catch (problem) {
      failed(problem);
    }
  };

  function render(all) {
    byId("documents").replaceChildren(
      ...all.map((each) => {
        const title = each.title || "Untitled";
        if (each.problem) return el("li", { class: "problem" }, each.problem);
        return el(
          "li",
          { class: "row" },
          el(
            "button",
            {
              type: "button",
              class: "plain open",
              "aria-current": each.name === doc.name ? "true" : null,
              on: { click: attempt(async () => (await keep.open(each.name), dialog.close(), opened())) },
            },
            el("span", {}, title),
            el("span", { class: "quiet small" }, `${each.words} words, ${when(each.changed)}`),
          ),
          el("button", { type: "button", class: "plain", ariaLabel: `Delete ${title}`, on: { click: attempt(() => remove(each.name, title)) } }, "Delete"),
        );
      }),
    );
  }

  async function remove(name, title) {
    const current = name === doc.name;
    const where = await keep.remove(name);
    if (current) opened();
    render((await ask("GET", "documents")).documents);
    notice(`“${title}” was deleted. Its file lies in ${where}.`);
  }

  const create = attempt(async () => {
    await keep.create();
    if (dialog.open) dialog.close();
    opened();
    byId("title").focus();
  });
  byId("new").addEventListener("click", create);
  return { show, create };
}
