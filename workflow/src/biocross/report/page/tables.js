// Tables: their rows come as data, so that the page opens before it has built them.
const FIRST_ROWS = 20;

function sortKey(text) {
  const bare = text.replace(/[,×]/g, "").replace(/^(odds|cells\/µl)\s*/, "").trim();
  const number = parseFloat(bare);
  if (bare === "–" || bare === "") return Infinity;
  return isNaN(number) ? bare : number;
}

function compare(x, y) {
  const a = sortKey(x), b = sortKey(y);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function buildTable(holder) {
  const { columns, rows } = dataOf(holder.dataset.rows);
  const state = { words: [], column: null, direction: 1, all: false };
  const body = make("tbody");
  const count = make("span", { role: "status" });
  const more = make("button", { type: "button" });
  const heads = columns.map(([heading, numeric], index) => {
    const button = make("button", { type: "button" }, heading);
    const head = make("th", { scope: "col", class: numeric ? "n" : null }, button);
    button.addEventListener("click", () => {
      state.direction = state.column === index ? -state.direction : 1;
      state.column = index;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", state.direction > 0 ? "ascending" : "descending");
      show();
    });
    return head;
  });

  function chosen() {
    const found = rows.filter(([cells]) => {
      const text = cells.join("  ").toLowerCase();
      return state.words.every((word) => text.includes(word));
    });
    if (state.column === null) return found;
    return found.slice().sort((x, y) => state.direction * compare(x[0][state.column], y[0][state.column]));
  }

  function show() {
    const found = chosen();
    const shown = state.all ? found : found.slice(0, FIRST_ROWS);
    body.replaceChildren(...shown.map(([cells, called]) =>
      make("tr", { class: called ? "called" : null }, cells.map((cell, index) =>
        make("td", { class: columns[index][1] ? "n" : cell.length > 60 ? "long" : null }, cell)))));
    count.textContent = shown.length === rows.length
      ? `${rows.length.toLocaleString("en")} ${rows.length === 1 ? "row" : "rows"}`
      : `${shown.length.toLocaleString("en")} of ${found.length.toLocaleString("en")} rows` +
        (found.length < rows.length ? ` (${rows.length.toLocaleString("en")} in all)` : "");
    more.hidden = found.length <= FIRST_ROWS;
    more.textContent = state.all ? `First ${FIRST_ROWS} only` : "Show all";
  }

  const box = make("input", { type: "search", placeholder: "words of a row" });
  box.addEventListener("input", () => {
    state.words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    show();
  });
  more.addEventListener("click", () => { state.all = !state.all; show(); });
  const saver = make("button", { type: "button" }, "These rows (CSV)");
  saver.addEventListener("click", () => {
    const text = csv([columns.map(([heading]) => heading), ...chosen().map(([cells]) => cells)]);
    save(text, holder.dataset.name + ".csv", "text/csv;charset=utf-8");
  });
  show();
  const table = make("table", {}, [
    make("caption", { class: "hidden" }, holder.dataset.label),
    make("thead", {}, make("tr", {}, heads)),
    body,
  ]);
  const region = { class: "scroll", tabindex: "0", role: "region", "aria-label": holder.dataset.label };
  holder.replaceChildren(
    make("label", { class: "filter" }, ["Show only ", box]),
    make("div", region, table),
    make("p", { class: "soft more tools" }, [count, " ", more, " ", saver])
  );
}

const tables = Array.from(document.querySelectorAll(".table[data-rows]"));

function buildRest() {
  tables.filter((holder) => !holder.firstChild).forEach(buildTable);
}

// One table at a time while the reader reads; all of them before a jump, so that it ends right.
function buildInTurn() {
  const next = tables.find((holder) => !holder.firstChild);
  if (!next) return;
  buildTable(next);
  setTimeout(buildInTurn, 15);
}

document.querySelectorAll("a[href^='#']").forEach((link) => link.addEventListener("click", buildRest));
addEventListener("beforeprint", buildRest);
if (location.hash) {
  buildRest();
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) target.scrollIntoView();
} else {
  setTimeout(buildInTurn, 100);
}
