// What every page has: the choice of colours.
const NAMES = { auto: "Auto", light: "Light", dark: "Dark" };
const TOLD = { auto: "as the system", light: "light", dark: "dark" };
const button = document.getElementById("theme");

function show(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  button.textContent = NAMES[theme];
  button.setAttribute("aria-label", `Colours: ${TOLD[theme]}`);
}

let theme = localStorage.getItem("studio-theme") ?? "auto";
if (!(theme in NAMES)) theme = "auto";
show(theme);
button.addEventListener("click", () => {
  const order = Object.keys(NAMES);
  theme = order[(order.indexOf(theme) + 1) % order.length];
  localStorage.setItem("studio-theme", theme);
  show(theme);
});
