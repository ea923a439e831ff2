"use strict";
// What the other scripts share: making elements, reading data of the page, saving files.

function make(name, attributes, children) {
  const svg = ["svg", "g", "path", "circle", "line", "text", "title"].includes(name);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  for (const child of [].concat(children === undefined ? [] : children)) {
    element.append(child);
  }
  return element;
}

function dataOf(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function save(text, name, type) {
  // The mark tells Excel that the text is UTF-8.
  const content = type.startsWith("text/csv") ? "\ufeff" + text : text;
  const link = make("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function csv(rows) {
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : String(value);
    // A name must not become a formula.
    if (/^[=+@]/.test(text) || (/^-/.test(text) && isNaN(Number(text)))) text = "'" + text;
    return /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function inWords(number) {
  if (number === null || number === undefined) return "–";
  if (typeof number !== "number") return String(number);
  return Math.abs(number) >= 999.5
    ? Math.round(number).toLocaleString("en")
    : String(Number(number.toPrecision(3)));
}

document.querySelectorAll("button[data-source]").forEach((button) => {
  button.addEventListener("click", () => {
    const text = dataOf(button.dataset.source);
    const rows = text.replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
    save(csv(rows), button.dataset.name + ".csv", "text/csv;charset=utf-8");
  });
});

// Mark the chapter that is being read.
const chapterLinks = new Map(
  Array.from(document.querySelectorAll("nav a"), (link) => [link.hash.slice(1), link])
);
const watcher = new IntersectionObserver((seen) => {
  for (const entry of seen) {
    if (!entry.isIntersecting) continue;
    chapterLinks.forEach((link) => link.removeAttribute("aria-current"));
    const link = chapterLinks.get(entry.target.id);
    if (link) link.setAttribute("aria-current", "true");
  }
}, { rootMargin: "0px 0px -75% 0px" });
document.querySelectorAll("main > section").forEach((section) => watcher.observe(section));
