"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [table, form] = ["rows", "filter"].map((id) => document.getElementById(id));
  const [shown, more] = ["shown", "more"].map((id) => document.getElementById(id));
  const heads = [...table.querySelectorAll("th")];
  const columns = heads.map((head) => Number(head.dataset.column));
  const UNIT = 13, STEP = 100;
  let limit = STEP, order = null;

  const SCALES = {
    s: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
    bytes: [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]],
  };
  const number = (value) => String(Number(value.toPrecision(3)));
  function quantity(value, unit) {
    if (value === null) return "–";
    const scales = SCALES[unit];
    if (!scales || value === 0) return Math.abs(value) >= 1000 ? value.toFixed(0) : number(value);
    const [factor, name] = scales.find(([factor]) => Math.abs(value) >= factor) || scales[scales.length - 1];
    return number(value / factor) + " " + name;
  }
  function text(row, column) {
    if (column === 0) return data.labels[row[0]];
    if (column >= 6 && column <= 9) return quantity(row[column], row[UNIT]);
    return String(row[column]);
  }

  const haystacks = data.rows.map((row) =>
    [data.labels[row[0]], ...row.slice(1, 6), row[12]].join(" ").toLowerCase());
  const selects = [...form.querySelectorAll("select")];
  for (const select of selects) {
    const values = new Set(data.rows.map((row) => row[select.dataset.column]));
    for (const value of [...values].sort()) select.add(new Option(value, value));
  }

  function chosen() {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const keep = (row, index) => words.every((word) => haystacks[index].includes(word)) &&
      selects.every((select) => !select.value || row[select.dataset.column] === select.value);
    const rows = data.rows.filter(keep);
    if (order) {
      const { column, sign, numeric } = order;
      // Quantities of different units are not to be compared: each unit stays together.
      const measured = column >= 6 && column <= 9;
      const by = numeric ? (a, b) => (a[column] ?? -Infinity) - (b[column] ?? -Infinity)
        : (a, b) => text(a, column).localeCompare(text(b, column), "en", { numeric: true });
      rows.sort((a, b) => (measured && a[UNIT] !== b[UNIT] ? a[UNIT].localeCompare(b[UNIT]) * -1 : sign * by(a, b)));
    }
    return rows;
  }

  function show() {
    const rows = chosen();
    const body = document.createElement("tbody");
    for (const row of rows.slice(0, limit)) {
      const line = body.insertRow();
      columns.forEach((column, index) => {
        const cell = line.insertCell();
        cell.textContent = text(row, column);
        if (heads[index].dataset.kind === "number") cell.className = "number";
      });
    }
    table.tBodies[0].replaceWith(body);
    const count = Math.min(limit, rows.length);
    shown.textContent = count + " of " + rows.length + " shown";
    more.hidden = count === rows.length;
  }

  for (const head of heads) {
    head.querySelector("button").addEventListener("click", () => {
      const column = Number(head.dataset.column);
      const sign = order && order.column === column ? -order.sign : 1;
      order = { column, sign, numeric: head.dataset.kind === "number" };
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      show();
    });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { limit = STEP; show(); });
  more.addEventListener("click", () => { limit += 5 * STEP; show(); });
  addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
  show();
})();
