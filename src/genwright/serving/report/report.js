// Draws the plots in the colours of the reader's scheme, and notes on <html> how that went.
(() => {
  "use strict";
  const root = document.documentElement;
  const errors = [];
  addEventListener("error", (event) => errors.push(event.message));
  addEventListener("securitypolicyviolation", (event) => errors.push(event.violatedDirective));

  const resolve = (thing, style) => {
    if (typeof thing === "string") {
      const found = /^var\((--[\w-]+)\)$/.exec(thing);
      return found ? style.getPropertyValue(found[1]).trim() : thing;
    }
    if (Array.isArray(thing)) return thing.map((item) => resolve(item, style));
    if (thing && typeof thing === "object") {
      return Object.fromEntries(Object.entries(thing).map(([k, v]) => [k, resolve(v, style)]));
    }
    return thing;
  };

  const draw = (place) => {
    const style = getComputedStyle(root);
    const figure = JSON.parse(document.getElementById(place.dataset.plot).textContent);
    const { data, layout } = resolve(figure, style);
    const ink = style.getPropertyValue("--ink").trim();
    const grid = style.getPropertyValue("--line").trim();
    const axis = (own) => ({
      gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true, fixedrange: true,
      ...own, title: { ...own?.title, standoff: 10 },
    });
    const themed = {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: ink },
      margin: { l: 8, r: 12, t: 8, b: 8 },
      xaxis: axis(layout.xaxis),
      yaxis: axis(layout.yaxis),
      bargap: 0.04,
      showlegend: data.length > 1,
      legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", traceorder: "normal" },
      hoverlabel: { font: { family: getComputedStyle(document.body).fontFamily } },
    };
    return Plotly.react(place, data, themed, { displayModeBar: false, responsive: true });
  };

  const places = [...document.querySelectorAll("[data-plot]")];
  const drawAll = () => Promise.all(places.map(draw));
  const note = () => {
    root.dataset.plots = `${places.filter((p) => p.querySelector(".main-svg")).length}/${places.length}`;
    root.dataset.width = `${root.scrollWidth}/${root.clientWidth}`;
    root.dataset.errors = errors.join("; ");
  };
  drawAll().catch((error) => errors.push(String(error))).finally(note);
  addEventListener("resize", () => setTimeout(note, 300));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((folded) => { folded.open = true; });
  });
})();
