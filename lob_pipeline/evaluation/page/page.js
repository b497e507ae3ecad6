"use strict";
// Draws every figure of the page from the JSON beside it, in the colours of the reader's setting. Nothing is fetched.
const NIGHT = {
  "#1c2733": "#e6ebf0", "#5b6875": "#9aa7b4", "#dfe4e9": "#2c3640", "#eceff2": "#232c35", "#b8c1ca": "#4b5965",
  "#1f6fb2": "#5aa6e6", "#c2571a": "#ef8a4a", "#1a7f5a": "#3fb98a", "#9a6700": "#d9a441", "#b42318": "#f0685c",
  "#eaf2f9": "#1a2632", "#15507f": "#7cc0f5",
};
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function draw() {
  for (const node of document.querySelectorAll("[data-figure]")) {
    let text = document.getElementById(node.dataset.figure).textContent;
    if (dark.matches) text = text.replace(/#[0-9a-f]{6}/g, (colour) => NIGHT[colour] || colour);
    const spec = JSON.parse(text);
    Plotly.react(node, spec.data, spec.layout, { displaylogo: false, responsive: true, displayModeBar: false });
  }
}
draw();
dark.addEventListener("change", draw);
