"use strict";
// Sort a table by a column: numbers by their value, cells without one last.
function sort(table, column, head) {
  const up = head.getAttribute("aria-sort") !== "ascending";
  const rows = [...table.tBodies[0].rows].map((row) => {
    const cell = row.cells[column];
    return { row, n: cell.dataset.n === undefined ? NaN : +cell.dataset.n, text: cell.textContent };
  });
  const numeric = head.classList.contains("number");
  rows.sort((a, b) => {
    if (!numeric) return (up ? 1 : -1) * a.text.localeCompare(b.text, "en", { numeric: true });
    if (isNaN(a.n) || isNaN(b.n)) return isNaN(a.n) - isNaN(b.n);
    return up ? a.n - b.n : b.n - a.n;
  });
  for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  table.tBodies[0].append(...rows.map((r) => r.row));
}
for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, column, head));
    head.append(button);
  });
}
// One button opens or closes all tables; for printing all but the JSON are open.
const folds = [...document.querySelectorAll("section details")];
if (folds.length > 1) {
  const item = document.createElement("li"), button = document.createElement("button");
  const name = () => { button.textContent = folds.every((d) => d.open) ? "Close all tables" : "Open all tables"; };
  button.type = "button";
  button.addEventListener("click", () => {
    const open = !folds.every((d) => d.open);
    for (const d of folds) d.open = open;
    name();
  });
  for (const d of folds) d.addEventListener("toggle", name);
  name();
  item.append(button);
  document.querySelector("nav ul").append(item);
}
addEventListener("beforeprint", () => { for (const d of folds) d.open = true; });
const facts = document.getElementById("facts");
if (facts) document.getElementById("shown").textContent = JSON.stringify(JSON.parse(facts.textContent), null, 2);
