// What is hard to read: texts whose contrast with what lies behind them is below WCAG AA's 4.5.
(() => {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const rgba = numbers(getComputedStyle(e).backgroundColor);
      if (rgba.length === 3 || rgba[3] > 0.99) return rgba;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const dialog = document.querySelector('dialog[open]');
  for (const e of (dialog ?? document.body).querySelectorAll('*')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const field = ['INPUT', 'TEXTAREA', 'SELECT'].includes(e.tagName) && e.type !== 'checkbox';
    if (!(own || field) || e.closest('#behind, .unseen, .skip') || !e.checkVisibility()) continue;
    let [front, back] = [numbers(getComputedStyle(e).color), behind(e)].map(light);
    if (front < back) [front, back] = [back, front];
    const ratio = (front + 0.05) / (back + 0.05);
    if (ratio < 4.5) bad.push(`${e.tagName} ${e.className} ${e.textContent.slice(0, 20)} ${ratio}`);
  }
  return bad;
})()
