"use strict";
// A click on a header sorts its table by that column: rising first, then falling. Cells without a number come last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const numbers = [...body.rows].some((row) => row.cells[column].dataset.value !== undefined);
    const value = (row) => {
      const cell = row.cells[column];
      return numbers ? Number(cell.dataset.value ?? NaN) : cell.textContent;
    };
    const order = (first, second) => {
      const [a, b] = [value(first), value(second)];
      if (!numbers) return sign * a.localeCompare(b);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    };
    body.append(...[...body.rows].sort(order));
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  }));
}
// A field above a table hides the rows that lack one of its words. Without this script all rows are shown.
for (const table of document.querySelectorAll("table.filtered")) {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter rows, for example freelb";
  field.setAttribute("aria-label", "Filter rows");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  table.parentElement.before(field);
}
