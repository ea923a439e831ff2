// Any population of every patient: a line per patient, a panel per treatment.
const explorer = dataOf("explorer-data");
const READOUTS = { percent_of_parent: "percent", cells_per_ul: "cells_per_ul" };
const PLOT = { width: 320, height: 270, left: 52, right: 12, top: 34, bottom: 40 };
const choices = document.getElementById("choices");

function fillChoice(select, options, kept) {
  select.replaceChildren(...options.map(([value, words]) => make("option", { value }, words)));
  if (options.some(([value]) => value === kept)) select.value = kept;
}

function quantile(sorted, share) {
  const place = share * (sorted.length - 1), below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

function valuesOf(series) {
  return series[READOUTS[choices.elements.readout.value]];
}

function unitOf(series) {
  return choices.elements.readout.value === "cells_per_ul" ? "cells/µl" : `% of ${series.parent}`;
}

function chosenSeries() {
  const name = choices.elements.population.value;
  const own = explorer.series.map((series, index) => ({ ...series, index })).filter((s) => s.name === name);
  return own.find((series) => series.key === choices.elements.how.value) || own[0];
}

// The axis is logarithmic; a zero stands at half of the smallest value.
function axisOf(values) {
  const positive = values.flat().filter((value) => value > 0);
  const hasZero = values.flat().includes(0);
  const low = positive.length ? Math.min(...positive) : 0.1;
  const high = positive.length ? Math.max(...positive) : 1;
  const floor = hasZero ? low / 2 : low;
  const span = Math.max(Math.log(high / floor), 0.2);
  const bottom = Math.log(floor) - 0.04 * span, top = Math.log(high) + 0.06 * span;
  const inner = PLOT.height - PLOT.top - PLOT.bottom;
  const y = (value) =>
    PLOT.top + inner * (1 - (Math.log(value > 0 ? value : floor) - bottom) / (top - bottom));
  const ticks = [];
  for (let decade = -6; decade <= 7; decade += 1) {
    for (const step of [1, 2, 5]) {
      const value = Number((step * 10 ** decade).toPrecision(1));
      if (Math.log(value) > bottom && Math.log(value) < top && value > (hasZero ? floor * 1.5 : 0)) ticks.push(value);
    }
  }
  const every = Math.ceil(ticks.length / 6);
  const kept = ticks.filter((_, index) => index % every === 0).map((value) => [value, inWords(value)]);
  return { y, ticks: hasZero ? [[0, "0"], ...kept] : kept };
}

function xOf(level) {
  const n = explorer.levels.length, inner = PLOT.width - PLOT.left - PLOT.right;
  return PLOT.left + inner * ((level + 0.5) / n);
}

function patientWords(series, unit) {
  const values = valuesOf(series)[unit];
  const counted = series.count && series.parent_count;
  const said = values.map((value, level) => {
    if (value === null) return null;
    const x = counted ? series.count[unit][level] : null;
    const events = x === null ? "" : ` (${inWords(x)} of ${inWords(series.parent_count[unit][level])} events)`;
    return `${explorer.levels[level]} ${inWords(value)}${events}`;
  });
  return `${explorer.units[unit]}: ${said.filter(Boolean).join(" → ")}`;
}

function patientLine(series, unit, y) {
  const values = valuesOf(series)[unit];
  const points = values.map((value, level) => [xOf(level), value]).filter(([, value]) => value !== null)
    .map(([x, value]) => [x, y(value)]);
  if (!points.length) return null;
  const path = points.map(([x, at], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${at.toFixed(1)}`).join("");
  return make("g", { class: points.length === 1 ? "patient alone" : "patient", "data-unit": unit }, [
    make("path", { d: path }),
    make("path", { d: path, class: "touch" }),
    ...points.map(([x, at]) => make("circle", { cx: x, cy: at, r: 3 })),
  ]);
}

function medianLine(series, units, y) {
  const complete = units.map((unit) => valuesOf(series)[unit]).filter((row) => !row.includes(null));
  if (!complete.length) return make("g");
  const quartiles = explorer.levels.map((_, level) => {
    const sorted = complete.map((row) => row[level]).sort((a, b) => a - b);
    return [0.25, 0.5, 0.75].map((share) => y(quantile(sorted, share)));
  });
  const path = quartiles.map(([, middle], level) => `${level ? "L" : "M"}${xOf(level)} ${middle}`).join("");
  return make("g", { class: "median" }, [
    make("path", { d: path }),
    ...quartiles.map(([low, , high], level) => make("line", { x1: xOf(level), x2: xOf(level), y1: low, y2: high })),
  ]);
}

function drawPanel(series, treatment, axis) {
  const units = explorer.treatments[treatment];
  const claimed = explorer.findings.some((row) =>
    row[0] === series.index && row[1] === treatment && row[3] === choices.elements.readout.value && row[4]);
  const measured = explorer.levels.map((_, level) =>
    units.filter((unit) => valuesOf(series)[unit][level] !== null).length);
  const svg = make("svg", {
    viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", tabindex: "0",
    class: claimed ? "claimed" : null, "data-treatment": treatment,
    "aria-label": `${series.population}, ${unitOf(series)}, ${treatment}: one line per patient, ${units.length} patients`,
  }, [
    make("text", { x: 8, y: 15, "font-weight": "600", "font-size": 13 }, `${series.population}, ${treatment}`),
    make("text", { x: 8, y: 29, fill: "#525c66" }, `${unitOf(series)}, ${series.how}`),
    ...axis.ticks.map(([value, words]) => make("g", {}, [
      make("line", { class: "grid", x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: axis.y(value), y2: axis.y(value) }),
      make("text", { x: PLOT.left - 5, y: axis.y(value) + 4, "text-anchor": "end" }, words),
    ])),
    ...explorer.levels.map((level, index) => make("g", {}, [
      make("text", { x: xOf(index), y: PLOT.height - 22, "text-anchor": "middle" }, level),
      make("text", { x: xOf(index), y: PLOT.height - 8, "text-anchor": "middle", fill: "#525c66" }, `n = ${measured[index]}`),
    ])),
    ...units.map((unit) => patientLine(series, unit, axis.y)).filter(Boolean),
    medianLine(series, units, axis.y),
  ]);
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const lines = Array.from(svg.querySelectorAll(".patient"));
    const now = lines.findIndex((line) => line.classList.contains("chosen"));
    const next = now < 0 ? (step > 0 ? 0 : lines.length - 1) : (now + step + lines.length) % lines.length;
    if (lines.length) tell(series, lines[next]);
  });
  return svg;
}

function tell(series, line) {
  document.querySelectorAll("#panels .chosen").forEach((other) => other.classList.remove("chosen"));
  line.classList.add("chosen");
  line.parentNode.insertBefore(line, line.parentNode.querySelector(".median"));
  document.getElementById("told").textContent = patientWords(series, Number(line.dataset.unit));
}

function drawExplorer() {
  const series = chosenSeries();
  const values = valuesOf(series);
  const treatment = choices.elements.treatment.value;
  const treatments = Object.keys(explorer.treatments).filter((name) => !treatment || name === treatment);
  const panels = document.getElementById("panels");
  document.getElementById("told").textContent = "";
  if (values) {
    const axis = axisOf(treatments.flatMap((name) => explorer.treatments[name].map((unit) => values[unit])));
    panels.replaceChildren(...treatments.map((name) => drawPanel(series, name, axis)));
  } else {
    panels.replaceChildren(make("p", {}, `${series.population} has no values in ${unitOf(series)}.`));
  }
  const told = explorer.findings.filter((row) => row[0] === series.index && treatments.includes(row[1]) &&
    [choices.elements.readout.value, "composition"].includes(row[3]));
  document.getElementById("findings").replaceChildren(...told.map((row) =>
    make("li", {}, (row[3] === "composition" ? "Composition: " : "") + row[5])));
}

function choosePopulation(name) {
  choices.elements.population.value = name;
  const own = explorer.series.filter((series) => series.name === name);
  fillChoice(choices.elements.how, own.map((series) => [series.key, series.how]), choices.elements.how.value);
  drawExplorer();
}

function explorerRows() {
  const series = chosenSeries();
  const head = ["patient", "treatment", "population", "found_by", "visit", "percent", "cells_per_ul", "count", "parent_count"];
  const rows = Object.entries(explorer.treatments).flatMap(([treatment, units]) =>
    units.flatMap((unit) => explorer.levels.map((level, index) => [
      explorer.units[unit], treatment, series.name, series.how, level,
      ...["percent", "cells_per_ul", "count", "parent_count"].map((value) => (series[value] ? series[value][unit][index] : null)),
    ])));
  return [head, ...rows.filter((row) => row.slice(5).some((value) => value !== null))];
}

// A drawing that leaves the page takes its looks along.
function savePlot() {
  const panels = Array.from(document.querySelectorAll("#panels svg"));
  const look = ".patient path{fill:none;stroke:#7d8790}.patient circle{fill:#7d8790}.patient.alone circle{fill:#fff;stroke:#7d8790}" +
    ".touch{display:none}.median path,.median line{fill:none;stroke:#0072b2;stroke-width:3}" +
    ".claimed .median path,.claimed .median line{stroke:#d55e00}.grid{stroke:#e3e7eb}text{font:11px sans-serif}";
  const whole = make("svg", { viewBox: `0 0 ${PLOT.width * panels.length} ${PLOT.height}`, xmlns: "http://www.w3.org/2000/svg" });
  const style = document.createElementNS("http://www.w3.org/2000/svg", "style");
  style.textContent = look;
  whole.append(style, ...panels.map((panel, index) =>
    make("g", { transform: `translate(${index * PLOT.width} 0)`, class: panel.getAttribute("class") },
      Array.from(panel.cloneNode(true).childNodes))));
  save(new XMLSerializer().serializeToString(whole), `${chosenSeries().name}.svg`, "image/svg+xml");
}

if (choices && explorer.series.length) {
  const names = [...new Map(explorer.series.map((series) => [series.name, series]))];
  fillChoice(choices.elements.population,
    names.map(([name, series]) => [name, series.population + (series.primary ? " (primary)" : "")]));
  const treatments = Object.keys(explorer.treatments);
  fillChoice(choices.elements.treatment,
    [...(treatments.length > 1 ? [["", "all"]] : []), ...treatments.map((name) => [name, name])]);
  const readouts = [["percent_of_parent", "percent of parent"]];
  if (explorer.series.some((series) => series.cells_per_ul)) readouts.push(["cells_per_ul", "cells/µl"]);
  fillChoice(choices.elements.readout, readouts);
  choices.elements.population.addEventListener("change", () => choosePopulation(choices.elements.population.value));
  ["how", "treatment", "readout"].forEach((name) => choices.elements[name].addEventListener("change", drawExplorer));
  document.querySelectorAll("a[data-population]").forEach((link) =>
    link.addEventListener("click", () => choosePopulation(link.dataset.population)));
  const tip = document.getElementById("tip"), panels = document.getElementById("panels");
  panels.addEventListener("pointermove", (event) => {
    const line = event.target.closest(".patient");
    tip.hidden = !line;
    if (!line) return;
    tell(chosenSeries(), line);
    tip.textContent = document.getElementById("told").textContent;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 240)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  });
  panels.addEventListener("pointerleave", () => { tip.hidden = true; });
  panels.addEventListener("click", (event) => {
    const line = event.target.closest(".patient");
    if (line) showPatient(explorer.units[Number(line.dataset.unit)]);
  });
  document.getElementById("values-csv").addEventListener("click", () =>
    save(csv(explorerRows()), `${chosenSeries().name}.csv`, "text/csv;charset=utf-8"));
  document.getElementById("plot-svg").addEventListener("click", savePlot);
  choosePopulation(names[0][0]);
}
