"use strict";
// Draws every figure of the page from the JSON beside it. Nothing is fetched.
for (const node of document.querySelectorAll("[data-figure]")) {
  const spec = JSON.parse(document.getElementById(node.dataset.figure).textContent);
  Plotly.newPlot(node, spec.data, spec.layout, { displaylogo: false, responsive: true, displayModeBar: false });
}
